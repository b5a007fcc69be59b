//! Answers that hold texts: they are put into words at the end, in the language that the request asks for.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::messages::Language;

/// An answer's body, once it is known in which language.
#[derive(Clone)]
struct Wording(Arc<dyn Fn(Language) -> String + Send + Sync>);

/// An answer whose body, JSON, is made by `words` when [`tell`] knows the language.
pub(super) fn worded<T: Serialize>(
    status: StatusCode,
    content_type: &'static str,
    words: impl Fn(Language) -> T + Send + Sync + 'static,
) -> Response {
    let words = move |language| {
        serde_json::to_string(&words(language)).unwrap_or_else(|error| {
            tracing::error!(%error, "an answer cannot be written");
            "{}".to_owned()
        })
    };
    written(status, content_type, words)
}

/// The same of a body that is no JSON.
pub(super) fn written(
    status: StatusCode,
    content_type: &'static str,
    words: impl Fn(Language) -> String + Send + Sync + 'static,
) -> Response {
    let mut response = (status, [(header::CONTENT_TYPE, content_type)]).into_response();
    response.extensions_mut().insert(Wording(Arc::new(words)));
    response
}

/// Puts an answer into words.
pub(super) async fn tell(request: Request, next: Next) -> Response {
    let language = asked_for(request.headers());
    let head = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    let Some(Wording(words)) = response.extensions_mut().remove() else { return response };
    let words = words(language);
    let headers = response.headers_mut();
    // That of the body that was not there yet.
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(words.len()));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    headers.append(header::VARY, HeaderValue::from_static("Accept-Language"));
    *response.body_mut() = if head { Body::empty() } else { Body::from(words) };
    response
}

/// The language that a request asks for. Several headers are one list.
fn asked_for(headers: &HeaderMap) -> Language {
    let lines = headers.get_all(header::ACCEPT_LANGUAGE).iter().filter_map(|line| line.to_str().ok());
    Language::accepted(&lines.collect::<Vec<_>>().join(","))
}
