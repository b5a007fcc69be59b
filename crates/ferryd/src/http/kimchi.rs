//! The inherited contract.

use axum::Router;

use super::AppState;

/// Its routes.
pub fn router() -> Router<AppState> {
    Router::new()
}
