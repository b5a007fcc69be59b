//! What was recorded of requests that are refused, or that ask without doing anything, sent to a real `ferryd` at both its doors: as root
//! at its socket, and as nobody or with a login at the loopback address.

mod support;

use lab::Release;
use serde_json::{Value, json};
use support::guest::quiet;
use support::http::{AT_LOOPBACK, Answer, loopback_request};
use support::kimchi::{assert_kept, at_home, begun, ended, replay};
use support::recorded::{self, Exchange, Recorded};
use support::{SOON, World, until};

const VM1: &str = "/plugins/kimchi/vms/vm1";
/// As whom root was recorded to log in.
const ROOT: &str = "root:secret";

#[test]
fn what_is_asked_without_doing_anything_is_answered_as_it_was() {
    let world = at_home(World::of("kasked").host("kvm1", Release::Bookworm).flag(AT_LOOPBACK));
    let all = recorded::all();
    world.machine().run_with_input(&["chpasswd"], format!("{ROOT}\n").as_bytes()).expect("a password");
    world.define_stopped("kvm1", &quiet("vm1").to_xml(), "vm1");
    at_the_socket(&world, &all);
    let cloned = begun(&world.post(&format!("{VM1}/clone"), &json!({})));
    let told = ended(&world, &cloned);
    assert_eq!(told["status"], "finished", "{told:#}");
    at_the_loopback_address(&world, &all, &told);
    assert_eq!(world.tasks().len(), 1, "what is refused becomes no task");
}

fn at_the_socket(world: &World, all: &Recorded) {
    for name in recorded::DO_NOTHING {
        replay(world, &all[*name]);
    }
    assert!(world.tasks().is_empty(), "what is refused becomes no task");
}

/// `task` is one that root began.
fn at_the_loopback_address(world: &World, all: &Recorded, task: &Value) {
    let session = replay_at_loopback(world, &all["30g-login"]).header("set-cookie").expect("a session");
    let (cookie, _) = session.split_once("; ").expect("rules of it");
    for name in [
        "30a-noauth-json",
        "30b-noauth-migrate",
        "30c-noauth-browser-xhr",
        "30d-noauth-html",
        "30f-basic-malformed",
        "32c-accept-xml",
        "62a-noauth-tasks",
        "62d-noauth-wok-tasks",
    ] {
        replay_at_loopback(world, &all[name]);
    }
    for name in ["62b-noauth-task-of-another-user", "62c-noauth-delete-task"] {
        let path = format!("/plugins/kimchi/tasks/{}", task["id"].as_str().expect("an id"));
        replay_at_loopback(world, &Exchange { path, ..all[name].clone() });
    }
    assert_eq!(&ended(world, task), task, "nothing was done to it");

    // A page of another site, with the session of who looks at it; the session itself is good.
    let mut foreign = all["30j-cookie-cross-origin-post-no-csrf"].clone();
    foreign.asks.insert("cookie".to_owned(), cookie.to_owned());
    replay_at_loopback(world, &foreign);
    let mut own = all["30i-cookie-get"].clone();
    own.asks = [("cookie", cookie), ("accept", "application/json")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let seen = until(SOON, "the machine does not show", || {
        let answer = ask_at_loopback(world, &own);
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(seen.json::<Value>()["name"], "vm1", "{seen:#?}");
}

fn ask_at_loopback(world: &World, exchange: &Exchange) -> Answer {
    let mut headers: Vec<(&str, &str)> =
        exchange.asks.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let body = exchange.body.as_deref().unwrap_or_default();
    if !body.is_empty() {
        headers.push(("content-type", exchange.content_type.as_deref().unwrap_or("application/json")));
    }
    world.send_at_loopback(&loopback_request(&exchange.method, &exchange.path, &headers, body))
}

#[track_caller]
fn replay_at_loopback(world: &World, exchange: &Exchange) -> Answer {
    let answer = ask_at_loopback(world, exchange);
    assert_kept(exchange, &answer);
    // A browser would open its own window for passwords over the page.
    let asks = answer.status == 401 && exchange.name != "30c-noauth-browser-xhr";
    assert_eq!(answer.header("www-authenticate").is_some(), asks, "{answer:#?}");
    answer
}
