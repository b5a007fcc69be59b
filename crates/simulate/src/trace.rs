//! The engine's own words, in the history's trace and at the history's time.

use std::fmt::Write;

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::world::Stage;

/// Keeps what the engine says on this thread in the stage's trace, until the guard is dropped.
#[must_use]
pub(crate) fn keep(stage: Stage) -> DefaultGuard {
    tracing::subscriber::set_default(tracing_subscriber::registry().with(Keeper(stage)))
}

struct Keeper(Stage);

impl<S: Subscriber> Layer<S> for Keeper {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        if !event.metadata().target().starts_with("ferryd") {
            return;
        }
        let mut words = Words(String::new());
        event.record(&mut words);
        self.0.with(|world| world.tell(|| format!("    ferryd:{}", words.0)));
    }
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() != "migration.id" && field.name() != "domain.uuid" {
            // Writing to a string does not fail.
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }
}
