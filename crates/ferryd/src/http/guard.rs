//! What goes for every request: it is logged, foreign pages are kept out, `OPTIONS` tells the methods.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use api::problem::{Code, Problem};
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;

use super::denial::Denial;
use super::problem::{Failure, shortened};
use super::{kimchi, rights};

/// Logs every request with its answer: never a body, never an argument. A handler that panics is answered with a problem
/// document too.
pub async fn log(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        // The panic hook has written where and why.
        Err(_) => {
            Failure::from(Problem::new(Code::Internal, "the request met a fault of Ferry's")).into_response()
        }
    };
    let (status, ms) = (response.status().as_u16(), begun.elapsed().as_millis());
    let path = shortened(&path);
    if status >= 500 {
        tracing::warn!(%method, path, status, ms, "answered");
    } else if is_reading(&method) {
        tracing::debug!(%method, path, status, ms, "answered");
    } else {
        tracing::info!(%method, path, status, ms, "answered");
    }
    response
}

/// Answers `OPTIONS` of every address that exists with the methods it takes.
pub async fn options(request: Request, next: Next) -> Response {
    let asked = request.method() == Method::OPTIONS;
    let response = next.run(request).await;
    if !asked || response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let allow = response.headers().get(header::ALLOW).and_then(|value| value.to_str().ok()).unwrap_or("");
    let allow = HeaderValue::try_from(format!("{allow},OPTIONS"))
        .unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"));
    (StatusCode::NO_CONTENT, [(header::ALLOW, allow)]).into_response()
}

/// Keeps out what a foreign web page sends through a local browser: by a name that was made to mean 127.0.0.1 (the `Host`
/// tells), or across origins (the `Origin` tells). Programs send no `Origin`, and pass.
pub async fn own_pages_only(request: Request, next: Next) -> Response {
    match foreign(&request) {
        Some(why) if rights::is_own(request.uri().path()) => {
            Failure::from(Problem::new(Code::Forbidden, why)).into_response()
        }
        Some(_) => kimchi::denied(Denial::NotAllowed, false),
        None => next.run(request).await,
    }
}

fn foreign(request: &Request) -> Option<String> {
    let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
    let Some(host) = text(header::HOST) else {
        return Some("the request does not say which host it is for".to_owned());
    };
    if !is_loopback(host) || request.uri().authority().is_some_and(|asked| !is_loopback(asked.as_str())) {
        return Some(format!(
            "{} is not a name of this address: use 127.0.0.1, [::1] or localhost",
            shortened(host)
        ));
    }
    if is_reading(request.method()) && !opens_websocket(request) {
        return None;
    }
    let own = |origin: &str| origin.strip_prefix("http://").is_some_and(|of| of.eq_ignore_ascii_case(host));
    if let Some(origin) = text(header::ORIGIN).filter(|origin| !own(origin)) {
        return Some(format!("a page of {} may not change anything here", shortened(origin)));
    }
    let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    match site {
        None | Some(b"same-origin" | b"none") => None,
        Some(_) => Some("a page of another site may not change anything here".to_owned()),
    }
}

/// Whether a method only reads.
fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a request opens a WebSocket: a `GET`, but a page of any origin could read and write it.
fn opens_websocket(request: &Request) -> bool {
    request.headers().contains_key(header::UPGRADE)
}

/// Whether a `Host` is a name of the loopback address, with or without a port.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let name = authority.host();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn only_names_of_the_loopback_address_pass() {
        for good in
            ["127.0.0.1", "127.0.0.1:8080", "localhost", "LocalHost:1", "[::1]", "[::1]:8080", "127.1.2.3"]
        {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1:80",
            "[::2]",
            "0.0.0.0",
            "a@localhost",
            "localhost@evil.example",
            "?",
            "127.0.0.1:x/",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }

    #[test]
    fn foreign_pages_are_kept_out() {
        let check = |method: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder().method(method).uri("/x");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            foreign(&request.body(Body::empty()).unwrap()).is_none()
        };
        let host = ("host", "127.0.0.1:8080");
        assert!(check("GET", &[host]));
        assert!(check("POST", &[host]));
        assert!(check(
            "POST",
            &[host, ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")]
        ));
        assert!(check("GET", &[host, ("origin", "http://evil.example")]), "it cannot read the answer");
        let upgrade = ("upgrade", "websocket");
        assert!(check("GET", &[host, upgrade]));
        assert!(check("GET", &[host, upgrade, ("origin", "http://127.0.0.1:8080")]));
        assert!(!check("GET", &[host, upgrade, ("origin", "http://evil.example")]));
        assert!(!check("GET", &[("host", "evil.example")]));
        assert!(!check("GET", &[]));
        for origin in [
            "http://evil.example",
            "http://127.0.0.1:9",
            "https://127.0.0.1:8080",
            "null",
            "",
            "http://localhost:8080",
        ] {
            assert!(!check("POST", &[host, ("origin", origin)]), "{origin}");
            assert!(!check("DELETE", &[host, ("origin", origin)]), "{origin}");
        }
        assert!(!check("POST", &[host, ("sec-fetch-site", "cross-site")]));
        assert!(!check("POST", &[host, ("sec-fetch-site", "same-site")]));
    }
}
