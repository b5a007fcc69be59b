//! What is taken out of a request. Whatever is wrong with it is answered with a problem document that names the field.

use std::error::Error;
use std::time::Duration;

use api::problem::{Code, Problem};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::problem::{Failure, cut, shortened};
use crate::model::TaskId;

/// No request is larger; the largest sensible one has a few hundred bytes.
pub const BODY_LIMIT_BYTES: usize = 64 * 1024;
/// How long a client may take to send the body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A JSON body, or a JSON answer.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        if !is_json(request.headers()) {
            let detail = "the body must be JSON, and its content type say so: application/json";
            return Err(Problem::new(Code::UnsupportedMediaType, detail).into());
        }
        let body = read_body(request).await?;
        parse(&body).map(Self)
    }
}

/// The body of an operation that takes none: nothing, or an empty JSON object.
#[derive(Clone, Copy, Debug)]
pub struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Empty {}

        let body = read_body(request).await?;
        if !body.is_empty() {
            parse::<Empty>(&body)?;
        }
        Ok(Self)
    }
}

/// The arguments after the `?`.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(query_problem(&rejection).into()),
        }
    }
}

/// The `{id}` of a task in the path.
#[derive(Clone, Copy, Debug)]
pub struct TaskPath(pub TaskId);

impl<S: Send + Sync> FromRequestParts<S> for TaskPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let NamePath(id) = NamePath::from_request_parts(parts, state).await?;
        match uuid::Uuid::parse_str(&id) {
            Ok(id) => Ok(Self(TaskId(id))),
            Err(error) => {
                let detail = format!("`{}` is not the id of a task: {error}", shortened(&id));
                Err(Problem::new(Code::BadRequest, detail).field("id").into())
            }
        }
    }
}

/// The name in the path.
#[derive(Clone, Debug)]
pub struct NamePath(pub String);

impl<S: Send + Sync> FromRequestParts<S> for NamePath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(rejection) => Err(Problem::new(Code::BadRequest, rejection.body_text()).field("path").into()),
        }
    }
}

/// Whether the content type is `application/json`, in UTF-8.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    essence.eq_ignore_ascii_case("application/json")
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
                value.trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}

/// The whole body, within its limits of size and time.
pub(super) async fn read_body(request: Request) -> Result<Bytes, Problem> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .unwrap_or(0);
    if announced > BODY_LIMIT_BYTES as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIMEOUT, collect(request.into_body())).await {
        Ok(body) => body,
        Err(_) => {
            let detail = format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs());
            Err(Problem::new(Code::BadRequest, detail))
        }
    }
}

async fn collect(body: Body) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk
            .map_err(|error| Problem::new(Code::BadRequest, "the body broke off").cause(error.to_string()))?;
        if whole.len() + chunk.len() > BODY_LIMIT_BYTES {
            return Err(too_large());
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.into())
}

fn too_large() -> Problem {
    Problem::new(Code::TooLarge, format!("the body is larger than {BODY_LIMIT_BYTES} bytes"))
}

/// Reads JSON text as what the operation takes.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let detail = format!("the body is not UTF-8: byte {} does not fit", error.valid_up_to());
        Problem::new(Code::BadRequest, detail)
    })?;
    if text.trim().is_empty() {
        return Err(Problem::new(Code::BadRequest, "the body is empty").into());
    }
    if !text.trim_start().starts_with('{') {
        // serde would take the fields from an array too, by their order.
        let read = serde_json::from_str::<serde::de::IgnoredAny>(text);
        let problem = read.map(|_| Problem::new(Code::BadRequest, "the body must be a JSON object"));
        return Err(problem.unwrap_or_else(|error| not_json(&error)).into());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| json_problem(&error))?;
    match json.end() {
        Ok(()) => Ok(value),
        Err(error) => Err(not_json(&error).into()),
    }
}

fn json_problem(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let inner = error.inner();
    if !inner.is_data() {
        return not_json(inner);
    }
    let text = inner.to_string();
    wrong_field(error.path(), &text)
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::new(Code::BadRequest, format!("the body is not JSON: {error}"))
}

fn query_problem(rejection: &axum::extract::rejection::QueryRejection) -> Problem {
    let mut source: Option<&(dyn Error + 'static)> = Some(rejection);
    while let Some(error) = source {
        type QueryError = serde_path_to_error::Error<serde::de::value::Error>;
        if let Some(error) = error.downcast_ref::<QueryError>() {
            let text = error.inner().to_string();
            return wrong_field(error.path(), &text);
        }
        source = error.source();
    }
    Problem::new(Code::BadRequest, rejection.body_text())
}

/// Names the field that is wrong: where the reading stopped, or what serde says is missing, unknown or there twice.
fn wrong_field(path: &serde_path_to_error::Path, text: &str) -> Problem {
    // serde quotes the value, however long it is.
    let problem = Problem::new(Code::BadRequest, cut(text, 400));
    let named = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|start| text.strip_prefix(start)?.split_once('`'))
        .map(|(name, _)| name);
    let path = if path.iter().len() == 0 { String::new() } else { path.to_string() };
    let field = match named {
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) if path != name && !path.ends_with(&format!(".{name}")) => format!("{path}.{name}"),
        _ => path,
    };
    if field.is_empty() { problem } else { problem.field(shortened(&field)) }
}

#[cfg(test)]
mod tests {
    use api::task::MigrationRequest;

    use super::*;

    fn refused(body: &[u8]) -> (Option<String>, String) {
        let problem = parse::<MigrationRequest>(body).unwrap_err().0;
        assert_eq!(problem.code, Code::BadRequest);
        (problem.field, problem.detail)
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, field, detail) in [
            (
                r#"{"vm":"a","destination":5}"#,
                Some("destination"),
                "invalid type: integer `5`, expected a string",
            ),
            (r#"{"vm":"a","destination":"b","x":1}"#, Some("x"), "unknown field `x`"),
            (r#"{"vm":"a"}"#, Some("destination"), "missing field `destination`"),
            (r#"{"vm":"a","vm":"b"}"#, Some("vm"), "duplicate field `vm`"),
            (
                r#"{"vm":"a","destination":"b","max_downtime_ms":-1}"#,
                Some("max_downtime_ms"),
                "invalid value",
            ),
            (r#"{"vm":"a","destination":"b","secure":null}"#, Some("secure"), "invalid type: null"),
            (r#"["web1",null,"b"]"#, None, "the body must be a JSON object"),
            ("5", None, "the body must be a JSON object"),
            ("x", None, "the body is not JSON"),
            (r#"{"vm":{"a":[1]},"destination":"b"}"#, Some("vm"), "invalid type: map, expected a string"),
            ("", None, "the body is empty"),
            (" \n", None, "the body is empty"),
            ("{", None, "the body is not JSON"),
            (r#"{"vm":"a","destination":"b"} x"#, None, "the body is not JSON"),
            (r#"{"vm":"a","destination":"\ud800"}"#, None, "the body is not JSON"),
        ] {
            let (named, told) = refused(body.as_bytes());
            assert_eq!(named.as_deref(), field, "{body}: {told}");
            assert!(told.contains(detail), "{body}: {told}");
        }
        assert_eq!(refused(b"{\"vm\":\"\xff\"}").1, "the body is not UTF-8: byte 7 does not fit");
        for deep in ["[".repeat(60_000), "{\"vm\":".repeat(9_000)] {
            refused(deep.as_bytes());
        }
    }

    #[test]
    fn the_content_type_must_be_json_in_utf_8() {
        for (value, good) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\";x=y", true),
            ("application/json; charset=latin1", false),
            ("application/jsonx", false),
            ("text/json", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            assert_eq!(is_json(&headers), good, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
