//! Its network interfaces.

use super::super::situation::{Situation, interface, other};

const MAC: &str = "52:54:00:aa:00:01";

fn network(name: &str, portgroup: &str) -> String {
    format!(
        "<interface type='network'><mac address='{MAC}'/><source network='{name}' {portgroup}/><model type='virtio'/>\
         <rom enabled='no'/></interface>"
    )
}

fn define(xml_inside: &str) -> String {
    format!(
        "printf %s \"<network><name>lan</name><forward mode='bridge'/><bridge name='br0'/>{xml_inside}</network>\" >/tmp/net.xml && \
         virsh -q net-define /tmp/net.xml"
    )
}

const FORGET: &str = "virsh -q net-destroy lan 2>/dev/null; virsh -q net-undefine lan 2>/dev/null; true";
const NO_BRIDGE: &str = "ip link del br9 2>/dev/null; true";

pub(super) fn all() -> Vec<Situation> {
    let with_network = |situation: Situation| {
        situation
            .before("kvm1", format!("{} && virsh -q net-start lan", define("<portgroup name='blue'/>")))
            .undo("kvm1", FORGET)
            .undo("kvm2", FORGET)
    };
    let bridge = |situation: Situation| {
        situation
            .before("kvm1", "ip link add br9 type bridge && ip link set br9 up")
            .devices(interface("br9", MAC))
            .undo("kvm1", NO_BRIDGE)
            .undo("kvm2", NO_BRIDGE)
    };
    vec![
        Situation::go("network", "a bridge that both have").devices(interface("br0", MAC)),
        Situation::go("network", "two interfaces")
            .devices(interface("br0", MAC) + &interface("br0", "52:54:00:aa:00:02")),
        bridge(Situation::stop("network", "a bridge that only the source has", "bridge-missing")),
        bridge(Situation::stop(
            "network",
            "an interface of another kind under the bridge's name",
            "bridge-of-other-kind",
        ))
        .before("kvm2", "ip link add br9 type veth peer name br9p")
        .by_hand("kvm2", "ip link del br9 && ip link add br9 type bridge && ip link set br9 up"),
        bridge(Situation::go("network", "the destination's bridge takes smaller packets"))
            .before("kvm2", "ip link add br9 mtu 1300 type bridge && ip link set br9 up"),
        with_network(Situation::go("network", "a network that both have"))
            .before("kvm2", format!("{} && virsh -q net-start lan", define("")))
            .devices(network("lan", "")),
        with_network(Situation::stop("network", "a network that only the source has", "network-missing"))
            .devices(network("lan", "")),
        with_network(Situation::stop(
            "network",
            "the network is not active on the destination",
            "network-inactive",
        ))
        .before("kvm2", define(""))
        .devices(network("lan", "")),
        with_network(Situation::go("network", "the destination's network has no such port group"))
            .before("kvm2", format!("{} && virsh -q net-start lan", define("")))
            .devices(network("lan", "portgroup='blue'")),
        Situation::go("network", "a running domain on the destination has its MAC address")
            .devices(interface("br0", MAC))
            .before("kvm2", other("c0000000-0000-4000-8000-000000000003", &interface("br0", MAC), true)),
    ]
}
