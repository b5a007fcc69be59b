//! The inherited `snapshots` and `hostdevs`, without hosts: what is refused, in which order, and how tasks are told.

use api::task::{Task, TaskKind, TaskState};
use ferryd::model::TaskId;
use ferryd::store::NewTask;
use serde_json::{Value, json};

use crate::Served;
use crate::kimchi_vms::{ask, refused};
use crate::tasks::{new_task, with_state};

/// Method, body that cannot be read, body that does not fit, thing that is not there: whichever comes first is told.
#[tokio::test]
async fn of_several_faults_the_first_is_told() {
    let served = Served::new().await;
    for prefix in ["", "/plugins/kimchi"] {
        let all = format!("{prefix}/vms/ghost/snapshots");
        let (one, current) = (format!("{all}/a%20b"), format!("{all}/current"));
        let revert = format!("{one}/revert");
        for (path, methods) in [
            (&all, &["PUT", "DELETE"][..]),
            (&one, &["PUT", "POST"]),
            (&current, &["PUT", "POST", "DELETE"]),
            (&revert, &["GET", "PUT", "DELETE"]),
        ] {
            for method in methods {
                let answer = ask(&served, method, path, Some("{}")).await;
                refused(&answer, "405 Method Not Allowed", "Specified method");
            }
        }
        for (body, code, reason) in [
            (None, "411 Length Required", "Client must"),
            (Some("{"), "400 Bad Request", "WOKAPI0006E: "),
            (Some("[]"), "400 Bad Request", "WOKAPI0008E: "),
            (Some("{\"nonsense\":1}"), "400 Bad Request", "WOKAPI0008E: "),
            (Some("{\"name\":5}"), "400 Bad Request", "WOKAPI0008E: "),
            (Some("{\"name\":\"\"}"), "400 Bad Request", "WOKAPI0008E: "),
            (Some("{\"name\":\"a/b\"}"), "400 Bad Request", "WOKAPI0008E: "),
            (Some("{\"name\":\".a\"}"), "400 Bad Request", "WOKAPI0008E: "),
            // What libvirt would take, and nobody could mean again.
            (Some("{\"name\":\"current\"}"), "400 Bad Request", "WOKAPI0008E: "),
            (Some("{\"name\":\"17\"}"), "400 Bad Request", "WOKAPI0008E: "),
            (Some("{\"name\":\"a b\"}"), "404 Not Found", "KCHVM0002E: Virtual machine ghost does not exist"),
            (Some("{}"), "404 Not Found", "KCHVM0002E: "),
        ] {
            refused(&ask(&served, "POST", &all, body).await, code, reason);
        }
        refused(&ask(&served, "POST", &revert, Some("{")).await, "400 Bad Request", "WOKAPI0006E: ");
        refused(&ask(&served, "POST", &revert, Some("[]")).await, "400 Bad Request", "WOKAPI0008E: ");
        for (method, path) in
            [("GET", &all), ("GET", &current), ("GET", &one), ("DELETE", &one), ("POST", &revert)]
        {
            refused(&ask(&served, method, path, None).await, "404 Not Found", "KCHVM0002E: ");
        }
    }
}

fn snapshot_task(vm: &str) -> NewTask {
    let new = new_task(vm);
    let task = Task { kind: TaskKind::Snapshot, made: Some("before".to_owned()), ..new.task };
    NewTask { task, ..new }
}

#[tokio::test]
async fn its_tasks_are_told_as_they_were_and_are_no_migrations() {
    let served = Served::new().await;
    let store = &served.app.store;
    for (state, status, message) in [
        (None, "running", "creating snapshot"),
        (Some(TaskState::Done), "finished", "OK"),
        (Some(TaskState::Cancelled), "killed", "Snapshot cancelled"),
        (
            Some(TaskState::Failed),
            "failed",
            "KCHSNAP0002E: Unable to create snapshot 'before' on virtual machine 'vm1'. Details: it was so (libvirt: no)",
        ),
    ] {
        let new = snapshot_task("vm1");
        store.create_task(&new).await.unwrap();
        let id = new.task.id;
        if let Some(state) = state {
            let lease = store.lease(TaskId(id), "test", 0, 1).await.unwrap().unwrap();
            let (message, cause) = ("it was so".to_owned(), Some("libvirt: no".to_owned()));
            store.update(&lease, &Task { message, cause, ..with_state(&new.task, state) }).await.unwrap();
        }
        let told = served.get(&format!("/plugins/kimchi/tasks/{id}")).await.json();
        let uri = "/plugins/kimchi/vms/vm1/snapshots/before";
        let expected =
            json!({ "id": id.to_string(), "status": status, "message": message, "target_uri": uri });
        assert_eq!(told, expected);
    }
    let migrations: Value = served.get("/api/v1/migrations").await.json();
    assert_eq!(migrations, json!([]));
}

#[tokio::test]
async fn of_several_faults_of_what_is_asked_of_devices_the_first_is_told() {
    let served = Served::new().await;
    for prefix in ["", "/plugins/kimchi"] {
        let vm = format!("{prefix}/vms/ghost");
        let devices = format!("{vm}/hostdevs");
        for (body, code, reason) in [
            (None, "411 Length Required", "Client must"),
            (Some("{"), "400 Bad Request", "WOKAPI0006E: "),
            (Some("{}"), "400 Bad Request", "WOKAPI0008E: "),
            (Some("{\"name\":\"../a\"}"), "400 Bad Request", "KCHVMHDEV0004E: "),
            (Some("{\"name\":\"pci_0000_01_00_0\"}"), "404 Not Found", "KCHVM0002E: "),
        ] {
            refused(&ask(&served, "POST", &devices, body).await, code, reason);
        }
        let device = format!("{devices}/pci_0000_01_00_0");
        refused(&ask(&served, "DELETE", &device, None).await, "404 Not Found", "KCHVM0002E: ");
        for (method, path) in [("PUT", &devices), ("DELETE", &devices), ("PUT", &device), ("POST", &device)] {
            let answer = ask(&served, method, path, Some("{}")).await;
            refused(&answer, "405 Method Not Allowed", "Specified method");
        }
        for path in [&devices, &device] {
            refused(&ask(&served, "GET", path, None).await, "404 Not Found", "KCHVM0002E: ");
        }
    }
}

#[tokio::test]
async fn tasks_that_make_machines_and_move_devices_are_told_as_they_were() {
    let served = Served::new().await;
    let store = &served.app.store;
    let vm = "/plugins/kimchi/vms/vm1";
    let under_way = "Provisioning storage for new VM";
    for (kind, made, target_uri, message, failed) in [
        (
            TaskKind::Creation,
            "vm1",
            vm.to_owned(),
            under_way,
            "KCHVM0007E: Unable to create virtual machine vm1",
        ),
        (
            TaskKind::Attach,
            "d",
            format!("{vm}/hostdevs/"),
            "Attaching device to VM",
            "KCHVMHDEV0007E: Failed to attach d",
        ),
        (
            TaskKind::Detach,
            "d",
            format!("{vm}/hostdevs/d"),
            "Detaching device",
            "FERRYHDEV0002E: Failed to detach d",
        ),
    ] {
        let new = new_task("vm1");
        let task = Task { kind, made: Some(made.to_owned()), ..new.task };
        store.create_task(&NewTask { task: task.clone(), plan: new.plan }).await.unwrap();
        let address = format!("/plugins/kimchi/tasks/{}", task.id);
        let told = served.get(&address).await.json();
        let expected = json!({
            "id": task.id.to_string(), "status": "running", "message": message, "target_uri": target_uri,
        });
        assert_eq!(told, expected);
        let lease = store.lease(TaskId(task.id), "test", 0, 1).await.unwrap().unwrap();
        store.update(&lease, &with_state(&task, TaskState::Failed)).await.unwrap();
        let told = served.get(&address).await.json();
        assert_eq!(told["status"], "failed");
        assert!(told["message"].as_str().unwrap().starts_with(failed), "{told}");
    }
}
