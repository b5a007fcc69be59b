//! `/preflight`: what stands against a migration.

use api::preflight::{PreflightRequest, Report};
use axum::extract::State;

use crate::http::AppState;
use crate::http::extract::Json;
use crate::http::problem::{Failure, problems};

problems!(CheckProblems: BadRequest, BadValue, UnsupportedMediaType, TooLarge, UnknownVm, AmbiguousVm, UnknownHost,
    AlreadyMigrating);

/// Checks a migration without beginning it.
///
/// One report for each destination, the best first. Nothing on either host is changed. A host that does not answer is a finding.
#[utoipa::path(post, path = "/preflight", tag = "migrations", operation_id = "check_migration",
    request_body = PreflightRequest,
    responses((status = 200, description = "Everything that was found.", body = [Report]), CheckProblems))]
pub async fn check(
    State(app): State<AppState>,
    Json(request): Json<PreflightRequest>,
) -> Result<Json<Vec<Report>>, Failure> {
    Ok(Json(app.migrations.check(&request).await?))
}
