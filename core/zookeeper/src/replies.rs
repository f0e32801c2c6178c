//! How each reply looks.

use crate::protocol::Echo;
use bytes::BytesMut;
use synod_replica::Answer;
use synod_replica::Reply;
use synod_types::command::{Applied, Written};
use synod_types::{ErrorCode, Identity, Zxid};
use synod_wire::zookeeper::{self as wire, ClientInfo, Part, RequestHeader, Response, opcode};

/// Appends the frame of a reply.
pub(crate) fn put(
    header: RequestHeader,
    zxid: Zxid,
    result: Result<Reply, ErrorCode>,
    echo: Option<Echo>,
    identities: &[Identity],
    out: &mut BytesMut,
) {
    let result = match result {
        Ok(reply) => response(header.opcode, reply, echo, identities),
        Err(error) => Err(error.code()),
    };
    wire::put_reply(out, header.xid, zxid.0, result.as_ref().map_err(|code| *code));
}

fn response(opcode: i32, reply: Reply, echo: Option<Echo>, identities: &[Identity]) -> Result<Response, i32> {
    Ok(match reply {
        Reply::Applied(Applied::Write(written)) => written_response(opcode, written),
        Reply::Applied(Applied::Multi(results)) => {
            let opcodes = match echo {
                Some(Echo::Multi(opcodes)) => opcodes,
                _ => Vec::new(),
            };
            let parts = results.into_iter().zip(opcodes.into_iter().chain(std::iter::repeat(opcode::CREATE)));
            Response::Multi(
                parts
                    .map(|(result, opcode)| match result {
                        Ok(written) => Ok(written_part(opcode, written)),
                        Err(error) => Err(error.map_or(0, ErrorCode::code)),
                    })
                    .collect(),
            )
        }
        Reply::Applied(Applied::Session(_) | Applied::Done) => Response::Empty,
        Reply::Answer(answer) => answer_response(opcode, answer),
        Reply::Answers(answers) => Response::Multi(
            answers.into_iter().map(|answer| answer.map_err(ErrorCode::code).and_then(answer_part)).collect(),
        ),
        Reply::Nothing => match opcode {
            opcode::SYNC => match echo {
                Some(Echo::Sync(path)) => Response::Sync { path },
                _ => Response::Sync { path: String::new() },
            },
            opcode::ADD_WATCH => Response::AddWatch,
            opcode::WHO_AM_I => Response::WhoAmI(identities.iter().map(client_info).collect()),
            _ => Response::Empty,
        },
    })
}

fn written_response(opcode: i32, written: Written) -> Response {
    match written {
        Written::Created { path, .. } if opcode == opcode::CREATE => Response::Create { path },
        Written::Created { path, stat } => Response::Create2 { path, stat },
        Written::Set { stat } => Response::Stat(stat),
        Written::Deleted | Written::Checked => Response::Empty,
    }
}

fn written_part(opcode: i32, written: Written) -> Part {
    match written {
        Written::Created { path, .. } if opcode == opcode::CREATE => Part::Create { path },
        Written::Created { path, stat } => Part::Create2 { path, stat },
        Written::Set { stat } => Part::Set { stat },
        Written::Deleted => Part::Deleted,
        Written::Checked => Part::Checked,
    }
}

fn answer_part(answer: Answer) -> Result<Part, i32> {
    match answer {
        Answer::Data { data, stat } => Ok(Part::Data { data, stat }),
        Answer::Children { children, .. } => Ok(Part::Children { children }),
        _ => Err(ErrorCode::MarshallingError.code()),
    }
}

fn answer_response(opcode: i32, answer: Answer) -> Response {
    match answer {
        Answer::Stat(stat) => Response::Stat(stat),
        Answer::Data { data, stat } => Response::Data { data, stat },
        Answer::Children { children, stat } if opcode == opcode::GET_CHILDREN2 => {
            Response::Children2 { children, stat }
        }
        Answer::Children { children, .. } => Response::Children { children },
        Answer::Acl { acl, stat } => Response::Acl { acl, stat },
        Answer::Paths(paths) => Response::Ephemerals { paths },
        Answer::Count(count) => Response::Count(count),
    }
}

/// Of a digest only the user is shown.
fn client_info(identity: &Identity) -> ClientInfo {
    let user = match identity.scheme.as_str() {
        "digest" => identity.id.split(':').next().unwrap_or_default().to_string(),
        _ => identity.id.clone(),
    };
    ClientInfo { scheme: identity.scheme.clone(), user }
}
