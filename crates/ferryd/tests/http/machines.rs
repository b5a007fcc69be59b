//! Machines of libvirt's test driver: a host in this process, without a daemon. It has no job, no disk and no QEMU, but what is
//! looked at before anything is done to a machine can be seen with it.

use std::sync::Once;
use std::time::Duration;

use api::task::{Task, TaskKind};
use ferryd::libvirt::ffi::start_event_loop;
use ferryd::store::{HostRecord, NewTask};
use virt::connect::Connect;

use crate::Served;
use crate::kimchi_vms::ask;
use crate::tasks::new_task;

const URI: &str = "test:///default";
const LIMIT: Duration = Duration::from_secs(30);

/// A `ferryd` with one such host, which has these machines, each listing these users.
async fn served(machines: &[(&str, &[&str])]) -> (Served, Connect) {
    static EVENTS: Once = Once::new();
    EVENTS.call_once(|| start_event_loop().unwrap());
    // The host lasts as long as somebody is connected to it.
    let connect = Connect::open(Some(URI)).unwrap();
    for (name, users) in machines {
        connect.define_domain_xml(&definition(name, users)).unwrap();
    }
    let host = HostRecord { name: "here".to_owned(), uri: URI.to_owned(), peer_uri: None, migrate_via: None };
    let served = Served::with_hosts(&[host]).await;
    assert!(served.app.fleet.member("here").unwrap().listed(LIMIT).await);
    (served, connect)
}

fn definition(name: &str, users: &[&str]) -> String {
    let users: String = users.iter().map(|user| format!("<user>{user}</user>")).collect();
    format!(
        "<domain type='test'><name>{name}</name><memory unit='MiB'>256</memory><vcpu>2</vcpu><os><type>hvm</type></os>\
         <metadata><k:metadata xmlns:k='https://github.com/kimchi-project/kimchi'><access>{users}</access></k:metadata>\
         </metadata></domain>"
    )
}

/// A task that makes a machine of this name.
async fn promise(served: &Served, name: &str) {
    let new = new_task("original");
    let task = Task { kind: TaskKind::Clone, made: Some(name.to_owned()), ..new.task };
    served.app.store.create_task(&NewTask { task, ..new }).await.unwrap();
}

#[tokio::test]
async fn a_machine_gets_no_name_that_another_one_has_or_is_promised() {
    let (served, _host) = served(&[("web1", &[]), ("db1", &[])]).await;
    promise(&served, "db1-clone-1").await;
    let rename =
        async |to: &str| ask(&served, "PUT", "/vms/web1", Some(&format!("{{\"name\": \"{to}\"}}"))).await;
    for taken in ["db1", "db1-clone-1"] {
        let answer = rename(taken).await;
        let reason = answer.json()["reason"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, 409, "{reason}");
        assert_eq!(reason, format!("KCHVM0001E: Virtual machine {taken} already exists"));
    }
    assert_eq!(rename("web2").await.header("location"), "/plugins/kimchi/vms/web2");
    assert_eq!(ask(&served, "GET", "/vms/web2", None).await.status, 200);
}
