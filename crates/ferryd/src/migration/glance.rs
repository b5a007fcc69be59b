//! A look at both hosts, in which neither is waited for much longer than the other.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::hypervisor::Hypervisor;
use crate::model::DomainUuid;
use crate::model::domain::{Answer, HostSight, ProcessAnswer};

/// No host takes longer to answer or to fail.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

/// A look at one host, which may take longer than a decision waits for it. It goes on by itself meanwhile: what it holds (a turn on
/// the host's connection, its shell) others wait for.
pub(super) struct Glance {
    host: Arc<dyn Hypervisor>,
    /// The question that is under way, and since when.
    asked: Option<(Instant, JoinHandle<HostSight>)>,
}

impl Drop for Glance {
    fn drop(&mut self) {
        if let Some((_, asked)) = &self.asked {
            asked.abort();
        }
    }
}

impl Glance {
    pub(super) fn new(host: &Arc<dyn Hypervisor>) -> Self {
        Self { host: host.clone(), asked: None }
    }

    /// The host's answer, with when it was asked for. One that is given up goes on being waited for by the next.
    async fn answer(&mut self, domain: DomainUuid) -> (Instant, HostSight) {
        let host = self.host.clone();
        let look = || (Instant::now(), tokio::spawn(async move { host.look(domain).await }));
        let (since, answer) = self.asked.get_or_insert_with(look);
        let (since, sight) = (*since, answer.await.unwrap_or_else(|_| no_answer_yet()));
        self.asked = None;
        (since, sight)
    }
}

/// What is seen of a host whose answer is still awaited.
fn no_answer_yet() -> HostSight {
    let domain = Answer::Unknown("no answer yet".to_owned());
    HostSight { domain, process: ProcessAnswer::Unknown, boot: None }
}

/// Looks at both hosts. One that takes longer than the other by more than `grace` is not waited for.
pub(super) async fn look(
    source: &mut Glance,
    destination: &mut Glance,
    domain: DomainUuid,
    grace: Duration,
) -> (Instant, HostSight, HostSight) {
    let began = Instant::now();
    let (mut from, mut to) = (None, None);
    {
        let (mut here, mut there) = (pin!(source.answer(domain)), pin!(destination.answer(domain)));
        // Each answers or fails within its own limit; the grace counts from the first of the two.
        let mut given_up = pin!(tokio::time::sleep(LONGEST_ANSWER));
        while from.is_none() || to.is_none() {
            tokio::select! {
                biased;
                seen = &mut here, if from.is_none() => from = Some(seen),
                seen = &mut there, if to.is_none() => to = Some(seen),
                () = &mut given_up => break,
            }
            given_up.as_mut().reset(Instant::now() + grace);
        }
    }
    let (first, from) = from.unwrap_or_else(|| (began, no_answer_yet()));
    let (second, to) = to.unwrap_or_else(|| (began, no_answer_yet()));
    (first.min(second), from, to)
}
