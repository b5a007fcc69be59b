//! What the two hosts have for the way that the memory is asked to travel.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Inquiry;
use super::certificates::{certificates, is_signed};
use super::questions::{self, Stopwatch};
use crate::inventory::member::Member;
use crate::model::facts::{Certificate, DomainFacts, HostTransport, QemuOffers, Reception, TransportFacts};
use crate::model::transport::Via;
use crate::ssh::scripts::{self, TransportAnswer, WhichQemu};

impl Inquiry<'_> {
    /// Where the memory is to be sent: as it is asked for, or else as the destination was registered. Through libvirt's own connection
    /// it goes where that goes.
    fn via(&self) -> Option<Via> {
        if self.wanted.tunnelled {
            return None;
        }
        let registered = || self.destination.record().migrate_via.as_deref()?.parse().ok();
        self.wanted.transport.via.or_else(registered)
    }

    /// Asks both hosts at once, where there is something to ask.
    pub(super) async fn ask_transport(&self, watch: &Stopwatch) -> TransportFacts {
        let (via, asked) = (self.via(), self.wanted.transport);
        if via.is_none() && !asked.tls && !asked.rdma {
            return TransportFacts::default();
        }
        let (source, destination) =
            tokio::join!(ask(self.source, asked.tls, watch), ask(self.destination, asked.tls, watch));
        let own: Vec<IpAddr> =
            destination.as_ref().map(|answer| answer.addresses.clone()).unwrap_or_default();
        let address = match via {
            // The checks say so where the destination does not have it.
            Some(Via::Address(address)) => Some(address),
            Some(network) => network.choose(&own),
            None => None,
        };
        let signed = |own: Option<&String>, by: Option<&TransportAnswer>| {
            own.zip(by).is_some_and(|(own, by)| is_signed(own, &by.authorities))
        };
        TransportFacts {
            via,
            address,
            server_trusted: signed(destination.as_ref().map(|it| &it.server), source.as_ref()),
            client_trusted: signed(source.as_ref().map(|it| &it.client), destination.as_ref()),
            source: source.map(|answer| side(&answer, &answer.client, "client-key")),
            destination: destination.map(|answer| side(&answer, &answer.server, "server-key")),
            now_s: now_s(),
            ..TransportFacts::default()
        }
    }

    /// Asks the QEMU that the domain runs in, and the one that it gets on the destination, as libvirt names it there, what they can do,
    /// where that matters.
    pub(super) async fn ask_offers(
        &self,
        domain: Option<&DomainFacts>,
        reception: Option<&Reception>,
        watch: &Stopwatch,
    ) -> [Option<QemuOffers>; 2] {
        let machine = reception.and_then(|reception| reception.machine.as_ref()?.as_ref().ok());
        let asked = domain.filter(|domain| domain.is_active() && self.wanted.transport.asks_qemu());
        let (Some(domain), Some(machine)) = (asked, machine) else { return [None, None] };
        let ask = async |host: &Member, which: Option<WhichQemu<'_>>| {
            let script = scripts::offers(which?);
            scripts::parse_offers(&questions::run(host, "what its QEMU can do", &script, watch).await?)
        };
        let (source, destination) = tokio::join!(
            ask(
                self.source,
                domain.definition.emulator.as_deref().map(|path| WhichQemu::Of(domain.uuid.0, path))
            ),
            ask(self.destination, machine.emulator.as_deref().map(WhichQemu::At))
        );
        [source, destination]
    }
}

fn side(answer: &TransportAnswer, certificate: &str, key: &str) -> HostTransport {
    let own: Option<Certificate> = certificates(certificate).into_iter().next();
    HostTransport {
        addresses: answer.addresses.clone(),
        rdma_devices: answer.rdma_devices.clone(),
        tls_directory: answer.tls_directory.clone(),
        authorities: certificates(&answer.authorities),
        certificate: own,
        key: answer.keys.iter().any(|there| there == key),
    }
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

async fn ask(host: &Member, tls: bool, watch: &Stopwatch) -> Option<TransportAnswer> {
    let output = questions::run(host, "how memory can travel", &scripts::transport(tls), watch).await?;
    scripts::parse_transport(&output)
}
