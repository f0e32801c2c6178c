//! `/health`, `/ready`, `/metrics`, `/status` over HTTP. It answers from the member's memory and changes nothing.

use crate::metrics;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use synod_node::Member;
use synod_node::env::{Env, Listener};
use synod_node::replica::Status;
use synod_types::NodeId;

/// Connections at one time; more are closed at once.
const CONNECTIONS_MAX: usize = 64;
/// How long one connection may take: it carries one small request.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the pages show.
pub struct Pages {
    member: Member,
    members: BTreeMap<NodeId, SocketAddr>,
}

impl Pages {
    /// Of a member and those it was started with.
    pub fn new(member: Member, members: BTreeMap<NodeId, SocketAddr>) -> Arc<Pages> {
        Arc::new(Pages { member, members })
    }
}

/// Takes connections for ever.
pub async fn accept(env: Env, listener: Box<dyn Listener>, pages: Arc<Pages>) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept failed on the admin address");
                env.sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if open.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (pages, open, clock) = (pages.clone(), open.clone(), env.clone());
        env.spawn("admin-connection", async move {
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let response = pages.answer(request.method(), request.uri().path());
                std::future::ready(Ok::<_, Infallible>(response))
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            if let Ok(Err(error)) = clock.timeout(PATIENCE, connection).await {
                tracing::debug!(%error, "admin connection");
            }
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

impl Pages {
    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        const TEXT: &str = "text/plain; charset=utf-8";
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, format!("method {method} is not GET\n"));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let status = self.member.status();
        match path {
            "/health" => page(StatusCode::OK, TEXT, "ok\n".into()),
            "/ready" if status.serving && status.leader.is_some() => page(StatusCode::OK, TEXT, "ready\n".into()),
            "/ready" => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{}\n", unready(&status))),
            "/metrics" => page(
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                metrics::text(&status, &self.member.figures(), &self.member.monitor()),
            ),
            "/status" => page(StatusCode::OK, "application/json", self.status(&status)),
            _ => page(
                StatusCode::NOT_FOUND,
                TEXT,
                format!("no page {path}; there are /health, /ready, /metrics, /status\n"),
            ),
        }
    }

    fn status(&self, status: &Status) -> String {
        let members: BTreeMap<String, String> =
            self.members.iter().map(|(id, address)| (id.0.to_string(), address.to_string())).collect();
        let json = serde_json::json!({
            "id": status.id.0,
            "role": role(status),
            "leader": status.leader.map(|id| id.0),
            "term": status.term.0,
            "commit": status.commit.0,
            "applied": status.applied.0,
            "digest": format!("{:032x}", status.digest),
            "serving": status.serving,
            "recovering": status.recovering,
            "connections": status.connections,
            "outstanding": status.outstanding,
            "watches": status.watches,
            "cluster_version": status.cluster_version,
            "cluster_version_supported": status.cluster_version_supported,
            "members": members,
            "zookeeper": self.member.zookeeper_address().map(|a| a.to_string()),
            "version": env!("CARGO_PKG_VERSION"),
        });
        format!("{json}\n")
    }
}

/// What a member is at present, as operators call it.
pub fn role(status: &Status) -> &'static str {
    use synod_node::Role;
    match status.role {
        _ if status.recovering => "recovering",
        Role::Follower => "follower",
        Role::PreCandidate | Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

fn unready(status: &Status) -> &'static str {
    match status.leader {
        _ if status.recovering => "recovering: waits until a leader has restored what its disk lost",
        None => "no leader is known",
        Some(_) => "the leader has not confirmed lately that it leads",
    }
}

fn page(code: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
