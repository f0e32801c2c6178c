//! A campaign between two processes: what is known after some of its seeds, in a file. A process that ends early loses
//! ten seconds of seeds at most; the next one goes on where the file says.

use crate::campaign::{Fold, Request};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Version of the file.
const SCHEMA: u32 = 1;

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checkpoint<F> {
    schema: u32,
    request: Asked,
    fold: F,
}

/// What makes two requests the same campaign. Threads and time do not.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    first_seed: u64,
    end_seed: u64,
    flags: Vec<String>,
}

impl Asked {
    fn of(request: &Request) -> Asked {
        let flags = request.overrides.flags();
        Asked { first_seed: request.seeds.start, end_seed: request.seeds.end, flags }
    }

    fn told(&self) -> String {
        [vec![format!("--seeds {}..{}", self.first_seed, self.end_seed)], self.flags.clone()].concat().join(" ")
    }
}

/// Where a campaign stopped; nothing if there is no such file yet.
///
/// # Errors
/// The file cannot be read, is cut in the middle, has a newer schema, or is of another campaign.
pub fn read(path: &Path, request: &Request) -> Result<Option<Fold>, String> {
    let text = match std::fs::read_to_string(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|e| format!("read {}: {e}", path.display()))?,
    };
    parse(&text, request).map(Some).map_err(|e| format!("resume {}: {e}", path.display()))
}

fn parse(text: &str, request: &Request) -> Result<Fold, String> {
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    let Head { schema } = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if schema != SCHEMA {
        return Err(format!("schema {schema}, this program knows {SCHEMA}"));
    }
    let checkpoint: Checkpoint<Fold> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let asked = Asked::of(request);
    if checkpoint.request != asked {
        return Err(format!("it is of {}, asked for is {}", checkpoint.request.told(), asked.told()));
    }
    Ok(checkpoint.fold)
}

/// Writes the file, all or nothing.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, request: &Request, fold: &Fold) -> Result<(), String> {
    let checkpoint = Checkpoint { schema: SCHEMA, request: Asked::of(request), fold };
    let text = serde_json::to_string(&checkpoint).expect("it has string keys and no foreign types");
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&part, path)
    });
    written.map_err(|e| format!("write {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Overrides;

    #[test]
    fn only_the_same_campaign_goes_on() {
        let overrides = Overrides { nodes: Some(3), ..Overrides::default() };
        let request = Request { seeds: 5..9, time: None, jobs: 1, overrides };
        let folder = std::env::temp_dir().join(format!("synod-checkpoint-{}", std::process::id()));
        assert!(read(&folder, &request).unwrap().is_none());
        write(&folder, &request, &Fold::default()).unwrap();
        let text = std::fs::read_to_string(&folder).unwrap();
        std::fs::remove_file(&folder).unwrap();
        assert!(parse(&text, &Request { jobs: 7, ..request.clone() }).is_ok());
        let refused = |text: &str, request: &Request| parse(text, request).err().unwrap();
        let other = Request { seeds: 5..10, ..request.clone() };
        assert_eq!(refused(&text, &other), "it is of --seeds 5..9 --nodes 3, asked for is --seeds 5..10 --nodes 3");
        let cut = refused(&text[..text.len() / 2], &request);
        assert!(cut.starts_with("EOF while parsing") && cut.contains(" at line 1 column "), "{cut}");
        let newer = text.replacen("\"schema\":1", "\"schema\":2", 1);
        assert_eq!(refused(&newer, &request), "schema 2, this program knows 1");
    }
}
