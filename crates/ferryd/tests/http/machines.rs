//! Machines of libvirt's test driver: a host in this process, without a daemon. It has no job, no disk and no QEMU, but what is
//! looked at before anything is done to a machine can be seen with it.

use std::sync::{Arc, Once};
use std::time::Duration;

use api::problem::Code;
use api::task::{Task, TaskKind, TaskState};
use ferryd::access::{Caller, Person, Role};
use ferryd::console::tickets::Purpose;
use ferryd::libvirt::ffi::start_event_loop;
use ferryd::lifecycle::{Lifecycle, Refused, WithIt};
use ferryd::migration::InheritedRequest;
use ferryd::model::TaskId;
use ferryd::model::action::Action;
use ferryd::model::change::Changes;
use ferryd::store::{HostRecord, NewTask};
use futures_util::poll;
use virt::connect::Connect;

use crate::Served;
use crate::kimchi_vms::ask;
use crate::tasks::{new_task, with_state};

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
    let renamed = rename("web2").await;
    assert!(renamed.header("location").ends_with("/plugins/kimchi/vms/web2"));
    assert_eq!(ask(&served, "GET", "/vms/web2", None).await.status, 200);
}

fn joe() -> Caller {
    Caller::Person(Arc::new(Person { name: "joe".to_owned(), groups: Vec::new(), role: Role::User }))
}

fn life(served: &Served) -> Lifecycle {
    Lifecycle::new(served.app.fleet.clone(), served.app.store.clone(), joe())
}

#[tokio::test]
async fn the_right_is_looked_at_again_on_the_machine_that_something_is_done_to() {
    let (served, host) = served(&[("anns", &["ann"])]).await;
    let (life, caller) = (life(&served), joe());
    let changes = Changes { title: Some("mine".to_owned()), ..Changes::default() };
    let refused = [
        life.act("anns", Action::Start).await.err(),
        life.change("anns", changes).await.err(),
        life.remove("anns", None, &WithIt::default()).await.err(),
        life.remove("anns", Some("here"), &WithIt::default()).await.err(),
        life.clone_vm("anns", &served.app.engine).await.err(),
        life.host_devices("anns").await.err(),
    ];
    for refused in refused {
        assert!(matches!(refused, Some(Refused::NotAllowed)), "{refused:?}");
    }
    for purpose in [Purpose::Serial, Purpose::Screen] {
        let refused = served.app.consoles.prepare("anns", &caller, purpose).await.err();
        assert!(matches!(refused, Some(ferryd::console::Refused::NotAllowed)), "{refused:?}");
    }
    let refused = served.app.consoles.screenshot("anns", &caller).await.err();
    assert!(matches!(refused, Some(ferryd::console::Refused::NotAllowed)), "{refused:?}");
    let request = InheritedRequest {
        vm: "anns".to_owned(),
        remote_host: "elsewhere.invalid".to_owned(),
        user: None,
        password: None,
        secure: false,
        rdma: false,
    };
    let refused = served.app.migrations.start_inherited(request, &caller).await.unwrap_err();
    assert_eq!(refused.code, Code::Forbidden, "{refused:?}");
    let machine = host.lookup_domain_by_name("anns").unwrap();
    assert!(!machine.is_active().unwrap() && !machine.xml_desc(0).unwrap().contains("<title>"));
}

#[tokio::test]
async fn whom_a_machine_lists_counts_when_its_turn_has_come() {
    let (served, host) = served(&[("joes", &["joe"])]).await;
    let member = served.app.fleet.member("here").unwrap();
    let domain = served.app.fleet.known_as("joes").unwrap().domain();
    let turn = served.app.fleet.turns().take(domain).await;
    let life = life(&served);
    let mut act = Box::pin(life.act("joes", Action::Start));
    assert!(poll!(&mut act).is_pending(), "it waits for its turn");
    let machine = host.lookup_domain_by_name("joes").unwrap();
    let anns = definition("joes", &["ann"]).replace("<memory", &format!("<uuid>{domain}</uuid><memory"));
    host.define_domain_xml(&anns).unwrap();
    member.look_anew(domain, LIMIT).await;
    drop(turn);
    assert!(matches!(act.await, Err(Refused::NotAllowed)));
    assert!(!machine.is_active().unwrap());
}

/// A task that is done.
async fn past(served: &Served, task: Task) {
    let new = NewTask { task, ..new_task("") };
    let store = &served.app.store;
    store.create_task(&new).await.unwrap();
    let lease = store.lease(TaskId(new.task.id), "test", 0, 1).await.unwrap().unwrap();
    store.update(&lease, &with_state(&new.task, TaskState::Done)).await.unwrap();
}

#[tokio::test]
async fn the_last_migration_of_a_machine_alone_says_whether_it_was_brought() {
    let (served, _host) = served(&[("brought", &[])]).await;
    let vm_uuid = served.app.fleet.known_as("brought").unwrap().listed.uuid;
    let own = || Task { vm_uuid, ..new_task("brought").task };
    past(&served, Task { destination: "here".to_owned(), ..own() }).await;
    past(&served, Task { kind: TaskKind::Clone, created_at_ms: 5_000, ..own() }).await;
    past(&served, Task { created_at_ms: 6_000, ..new_task("unreadable").task }).await;
    let database = served.dir.path().join("ferry.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("UPDATE tasks SET body = '{' WHERE vm = 'unreadable'").execute(&pool).await.unwrap();
    pool.close().await;

    let answer = ask(&served, "DELETE", "/vms/brought", None).await;
    let reason = answer.json()["reason"].as_str().unwrap().to_owned();
    assert_eq!(answer.status, 409, "{reason}");
    assert!(reason.starts_with("KCHVM0021E: ") && reason.ends_with("ask with ?host=here"), "{reason}");
}
