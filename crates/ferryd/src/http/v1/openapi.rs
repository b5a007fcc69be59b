//! `/openapi.json`: this API's own description.

use std::sync::LazyLock;

use api::problem::{Code, Problem};
use axum::http::header;
use axum::response::IntoResponse;

use crate::http::problem::{Failure, problems};

problems!(ShowProblems:);

static DOCUMENT: LazyLock<Result<String, String>> =
    LazyLock::new(|| super::described().into_openapi().to_json().map_err(|error| error.to_string()));

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "openapi", operation_id = "show_openapi",
    responses((status = 200, description = "The OpenAPI description.", body = serde_json::Value), ShowProblems))]
pub async fn show() -> Result<impl IntoResponse, Failure> {
    match &*DOCUMENT {
        Ok(text) => Ok(([(header::CONTENT_TYPE, "application/json")], text.as_str())),
        Err(error) => {
            tracing::error!(error, "the OpenAPI document cannot be made");
            Err(Problem::new(Code::Internal, "the OpenAPI document cannot be made").into())
        }
    }
}
