//! How every error is answered: as a problem document (RFC 9457). Its title is told in the language that is asked for.

use std::collections::BTreeMap;
use std::error::Error;

use api::problem::{Code, MEDIA_TYPE, Problem};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};

use super::wording;
use crate::messages::{Text, title};
use crate::store::StoreError;

/// A problem document as an answer.
#[derive(Clone, Debug)]
pub struct Failure(pub Box<Problem>);

impl From<Problem> for Failure {
    /// An account that quotes what the request said is cut: an answer is not as long as what it refuses.
    fn from(problem: Problem) -> Self {
        const LONGEST: usize = 1000;
        let detail = cut(&problem.detail, LONGEST);
        Self(Box::new(Problem { detail, ..problem }))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Problem::from(error).into()
    }
}

impl From<StoreError> for Problem {
    /// The one place where the store's errors become answers. What is nobody's business but ours is logged here, whole, and
    /// told without its inside.
    fn from(error: StoreError) -> Self {
        let told = error.to_string();
        match error {
            StoreError::HostExists => Self::new(Code::HostExists, told),
            StoreError::DomainBusy(task) => {
                Self { task: Some(task.0), ..Self::new(Code::AlreadyMigrating, told) }
            }
            StoreError::NoSuchTask(_) => Self::new(Code::UnknownTask, told),
            StoreError::Ended => Self::new(Code::TooLate, told),
            StoreError::Fenced
            | StoreError::Corrupt { .. }
            | StoreError::Database(_)
            | StoreError::Schema(_) => {
                tracing::error!(error = %chain(&error), "the store failed");
                Self::new(Code::Internal, told)
            }
        }
    }
}

/// An error and what it came from, on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        wording::worded(status, MEDIA_TYPE, move |language| {
            let title = Text::from(title(self.0.code)).told(language).into_owned();
            Problem { title, ..*self.0.clone() }
        })
    }
}

/// Answers an address that does not exist.
pub async fn no_such_route(uri: Uri) -> Failure {
    Problem::new(Code::NoSuchRoute, format!("there is nothing at {}", shortened(uri.path()))).into()
}

/// A text of a request as it may stand in an answer: not longer than a person reads.
pub fn shortened(text: &str) -> String {
    cut(text, 100)
}

/// The first characters of a text.
pub(super) fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The documentation of an operation's problems: one response per status, telling the codes that come with it. What any
/// operation can answer is added.
pub(super) fn responses(codes: &[Code]) -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
    let anywhere = [
        Code::LoginRequired,
        Code::Forbidden,
        Code::MethodNotAllowed,
        Code::Internal,
        Code::LoginUnavailable,
    ];
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for code in codes.iter().chain(&anywhere) {
        let line = format!("`{}`: {}.", code.as_str(), code.title());
        told.entry(code.status().to_string()).or_default().push(line);
    }
    told.into_iter()
        .map(|(status, lines)| {
            let schema = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            let response =
                ResponseBuilder::new().description(lines.join(" ")).content(MEDIA_TYPE, schema).build();
            (status, RefOr::T(response))
        })
        .collect()
}

/// Names the problems of an operation, for its documentation.
macro_rules! problems {
    ($(#[$doc:meta])* $name:ident: $($code:ident),* $(,)?) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::Response>,
            > {
                $crate::http::problem::responses(&[$(api::problem::Code::$code),*])
            }
        }
    };
}
pub(super) use problems;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TaskId;

    #[test]
    fn an_inner_error_tells_nothing_of_its_inside() {
        let inside = sqlx::Error::Protocol("password is hunter2".to_owned());
        let problem = Problem::from(StoreError::Database(inside));
        assert_eq!((problem.code, problem.detail.as_str()), (Code::Internal, "the database failed"));
        assert!(!serde_json::to_string(&problem).unwrap().contains("hunter2"));
    }

    #[test]
    fn a_busy_domain_names_the_task_in_the_way() {
        let id = TaskId::new();
        let problem = Problem::from(StoreError::DomainBusy(id));
        assert_eq!((problem.status, problem.task), (409, Some(id.0)));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shortened("ä"), "ä");
        let long = "ä".repeat(101);
        assert_eq!(shortened(&long), format!("{}…", "ä".repeat(100)));
    }
}
