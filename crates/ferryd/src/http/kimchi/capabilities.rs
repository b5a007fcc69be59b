//! `config/capabilities`: what the host offers.

use axum::extract::State;
use axum::response::IntoResponse;
use serde::Serialize;

use super::answer;
use crate::http::AppState;
use crate::model::offers::Offers;

/// What Kimchi told, its keys in their order. What nothing is known of, no host answering, is not offered.
#[derive(Debug, PartialEq, Serialize)]
struct Capabilities {
    /// What libvirt and its QEMU take. (Ferry itself gives new machines no media from the network.)
    libvirt_stream_protocols: Vec<String>,
    qemu_spice: bool,
    /// That a new machine can be given an image from the network: Ferry does not do that.
    qemu_stream: bool,
    /// Null where it was not tried, as it was.
    screenshot: Option<bool>,
    kernel_vfio: bool,
    /// By it Kimchi made networks, which Ferry does not do.
    nm_running: bool,
    /// Ferry plugs no memory devices.
    mem_hotplug_support: bool,
    libvirtd_running: bool,
}

impl Capabilities {
    /// `offers` is what the host said, where one did; `answers` whether one is connected.
    fn of(offers: Option<&Offers>, answers: bool) -> Self {
        Self {
            libvirt_stream_protocols: offers
                .map(|offers| offers.stream_protocols.clone())
                .unwrap_or_default(),
            qemu_spice: offers.is_some_and(|offers| offers.spice),
            qemu_stream: false,
            screenshot: offers.map(|offers| offers.screenshots),
            kernel_vfio: offers.is_some_and(|offers| offers.iommu),
            nm_running: false,
            mem_hotplug_support: false,
            libvirtd_running: answers,
        }
    }
}

/// What the host that Ferry itself runs on offers, as Kimchi told it, or else the first one that answers.
pub(super) async fn show(State(app): State<AppState>) -> impl IntoResponse {
    let members = app.fleet.members();
    let connected = members.iter().filter(|member| member.is_connected());
    let meant = connected.min_by_key(|member| (!member.is_here(), member.name()));
    let offers = match meant {
        Some(member) => member.offers().await.ok(),
        None => None,
    };
    answer(&Capabilities::of(offers.as_deref(), meant.is_some()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(offers: Option<&Offers>, answers: bool) -> Value {
        serde_json::to_value(Capabilities::of(offers, answers)).unwrap()
    }

    /// Each key whose value is another than of a host that offers nothing.
    fn more(offers: &Offers) -> Vec<String> {
        let (nothing, told) = (told(Some(&Offers::default()), true), told(Some(offers), true));
        let keys = told.as_object().unwrap().keys();
        keys.filter(|key| told[*key] != nothing[*key]).cloned().collect()
    }

    #[test]
    fn each_fact_shows_in_its_key_alone() {
        let none = Offers::default;
        for (offers, key) in [
            (Offers { stream_protocols: vec!["http".to_owned()], ..none() }, "libvirt_stream_protocols"),
            (Offers { spice: true, ..none() }, "qemu_spice"),
            (Offers { screenshots: true, ..none() }, "screenshot"),
            (Offers { iommu: true, ..none() }, "kernel_vfio"),
        ] {
            assert_eq!(more(&offers), [key], "{offers:?}");
        }
    }

    #[test]
    fn of_no_host_nothing_is_claimed() {
        let expected = json!({
            "libvirt_stream_protocols": [], "qemu_spice": false, "qemu_stream": false, "screenshot": null,
            "kernel_vfio": false, "nm_running": false, "mem_hotplug_support": false, "libvirtd_running": false,
        });
        assert_eq!(told(None, false), expected);
        // One that is connected and did not say in time is no less there.
        assert_eq!(told(None, true)["libvirtd_running"], json!(true));
    }
}
