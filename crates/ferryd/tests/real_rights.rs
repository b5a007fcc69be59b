//! Who may do what at the loopback address of a real `ferryd`: users of its machine, asked through PAM, and a real machine that lists
//! one of them.

mod support;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ferryd::http::rights::{INHERITED, OWN, Right, Route};
use lab::Release;
use serde_json::{Value, json};
use support::guest::quiet;
use support::http::{AT_LOOPBACK, Answer, loopback_request};
use support::kimchi::assert_kept;
use support::recorded::{self, Exchange};
use support::tasks::MOVES_WITHIN;
use support::{SOON, World, until, uri};

/// Over this link it does not arrive before it is stopped.
const NEVER_THERE_MBIT: u32 = 16;
const PREFIX: &str = "/plugins/kimchi";
/// Users with their passwords: words that stand nowhere else. ann is made a member of sudo.
const JOE: &str = "joe:joes-wort-5521";
const EVE: &str = "eve:eves-wort-6632";
const ANN: &str = "ann:anns-wort-7743";

/// Asks as a user, or as nobody.
fn ask(world: &World, method: &str, path: &str, who: Option<&str>, body: &str) -> Answer {
    ask_for(world, Some("application/json"), method, path, who, body)
}

/// The same, and says what it takes, or nothing of that.
fn ask_for(
    world: &World,
    accept: Option<&str>,
    method: &str,
    path: &str,
    who: Option<&str>,
    body: &str,
) -> Answer {
    let login = who.map(|who| format!("Basic {}", BASE64_STANDARD.encode(who)));
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(accept.map(|accept| ("Accept", accept)));
    headers.extend(login.as_deref().map(|login| ("Authorization", login)));
    world.send_at_loopback(&loopback_request(method, path, &headers, body))
}

fn users(world: &World) {
    let machine = world.machine();
    for who in [JOE, EVE, ANN] {
        let (name, _) = who.split_once(':').expect("a password");
        machine.run(&["useradd", "--no-create-home", name]).expect("a user");
    }
    machine.run(&["groupadd", "--force", "sudo"]).expect("a group");
    machine.run(&["usermod", "--append", "--groups", "sudo", "ann"]).expect("a member");
    machine.run_with_input(&["chpasswd"], format!("{JOE}\n{EVE}\n{ANN}\n").as_bytes()).expect("passwords");
}

#[track_caller]
fn replay(world: &World, name: &str, who: &str) -> Answer {
    replay_at(world, &recorded::all()[name], who)
}

#[track_caller]
fn replay_at(world: &World, exchange: &Exchange, who: &str) -> Answer {
    let body = exchange.body.as_deref().unwrap_or_default();
    // Without any it was recorded as well.
    let accept = match exchange.asks.is_empty() {
        true => Some("application/json"),
        false => exchange.asks.get("accept").map(String::as_str),
    };
    let answer = ask_for(world, accept, &exchange.method, &exchange.path, Some(who), body);
    assert_kept(exchange, &answer);
    answer
}

/// What each of the four is answered: nobody, a stranger, whom the machine lists, an administrator.
fn expected(route: &Route) -> [&'static [u16]; 4] {
    // A body that fits nothing, and a host that is none: what passes changes nothing.
    let passed: &[u16] = &[200, 400, 404];
    match route.right {
        Right::Anyone => [passed; 4],
        Right::User => [&[401], passed, passed, passed],
        Right::Vm => [&[401], &[403], passed, passed],
        Right::Task => [&[401], &[404], &[404], &[404]],
        Right::Admin => [&[401], &[403], &[403], &[200, 400, 404, 422]],
    }
}

#[test]
fn users_of_this_machine_may_do_what_the_table_says() {
    let plan = World::of("rights").host("kvm1", Release::Bookworm).host("kvm2", Release::Bookworm);
    let world = plan.flag(AT_LOOPBACK).up();
    world.register("kvm1");
    users(&world);
    let _guest = world.boot(quiet("vm1"), "kvm1");
    let seen = || (ask(&world, "GET", "/vms/vm1", Some(ANN), "").status == 200).then_some(());
    until(SOON, "the machine is not seen", seen);

    logs_in(&world);
    replay(&world, "31a-user-joe-list", JOE);
    replay(&world, "31b-user-joe-vm", JOE);
    replay(&world, "60a-grant-joe", ANN);
    let listed: Value = ask(&world, "GET", "/vms", Some(JOE), "").json();
    assert_eq!(listed[0]["name"], "vm1", "{listed:#}");
    let listed: Value = ask(&world, "GET", "/vms", Some(EVE), "").json();
    assert_eq!(listed, json!([]));
    for action in ["suspend", "resume"] {
        let path = format!("/vms/vm1/{action}");
        assert_eq!(ask(&world, "POST", &path, Some(EVE), "").status, 403);
        assert_eq!(ask(&world, "POST", &path, Some(JOE), "").status, 200);
    }
    for name in ["32a-accept-none", "32b-accept-star"] {
        assert_eq!(replay(&world, name, ANN).json::<Value>()["name"], "vm1", "{name}");
    }
    walk(&world);
    migrates_as_joe(&world);
    commands(&world);
    assert!(![JOE, EVE, ANN].iter().any(|who| world.log().contains(&who[4..])), "no password is logged");
}

/// Whom a machine lists may move it, stop that, and read how it went; nobody else of those who are no administrators may.
fn migrates_as_joe(world: &World) {
    world.ferry(&["host", "add", "kim-h2", &uri("kvm2")]).succeeded();
    world.host("kvm2").rate(Some(NEVER_THERE_MBIT)).expect("a slow link");
    let begun: Value = replay(world, "60c-joe-migrates", JOE).json();
    let task = format!("{PREFIX}/tasks/{}", begun["id"].as_str().expect("an id"));
    for (who, expected) in [(None, 401), (Some(EVE), 403), (Some(JOE), 204)] {
        let answer = ask(world, "DELETE", &task, who, "");
        assert_eq!(answer.status, expected, "{who:?}: {answer:#?}");
    }
    let stopped: Value = until(MOVES_WITHIN, "it does not stop", || {
        let now: Value = ask(world, "GET", &task, Some(JOE), "").json();
        (now["status"] != "running").then_some(now)
    });
    assert_eq!(stopped["status"], "killed", "{stopped:#}");
    world.host("kvm2").rate(None).expect("a fast link");

    let begun: Value = replay(world, "60c-joe-migrates", JOE).json();
    let mut exchange = recorded::all().remove("60d-joe-task").expect("it was recorded");
    exchange.path = format!("{PREFIX}/tasks/{}", begun["id"].as_str().expect("an id"));
    until(MOVES_WITHIN, "it does not end", || {
        let now: Value = ask(world, "GET", &exchange.path, Some(JOE), "").json();
        (now["status"] != "running").then_some(())
    });
    exchange.assert_ended(&replay_at(world, &exchange, JOE).json());
    replay(world, "31d-user-joe-tasks", JOE);
}

/// The command at the loopback address does what it does at the socket, for who is an administrator.
fn commands(world: &World) {
    let at_loopback = |who: &str, arguments: &[&str]| {
        let (name, password) = who.split_once(':').expect("a password");
        let login = ["--server", "http://127.0.0.1:8010", "--user", name, "--password-file", "-"];
        let said = world.ferry_with_input(&[&login, arguments].concat(), &format!("{password}\n"));
        assert!(!said.stdout.contains(password) && !said.stderr.contains(password), "{said:#?}");
        said
    };
    at_loopback(JOE, &["host", "list"]).ended(1).says("administrators alone");
    at_loopback("ann:wrong", &["host", "list"]).ended(1).says("there is no user ann");
    world.ferry(&["--server", "http://127.0.0.1:8010", "host", "list"]).ended(1).says("--user NAME");
    at_loopback(ANN, &["host", "list"]).succeeded().says("kim-h2");
    // With all that it watches meanwhile.
    at_loopback(ANN, &["migrate", "vm1", "--to", "kvm1"]).succeeded().says("vm1 runs on kvm1.");
}

fn logs_in(world: &World) {
    for (who, role) in [(JOE, "user"), (ANN, "admin")] {
        let (name, password) = who.split_once(':').expect("a password");
        let body = json!({ "username": name, "password": password }).to_string();
        let answer = ask(world, "POST", "/login", None, &body);
        let told: Value = answer.json();
        assert_eq!(
            (&told["username"], &told["groups"][0], &told["role"]),
            (&json!(name), &json!(name), &json!(role))
        );
        assert!(answer.head.contains("set-cookie: wok="), "{answer:#?}");
    }
    let wrong = ask(world, "POST", "/login", None, r#"{"username":"joe","password":"wrong"}"#);
    assert!(wrong.status == 401 && wrong.body.contains("WOKAUTH0008E"), "{wrong:#?}");
    let nobody = ask(world, "POST", "/login", None, r#"{"username":"nobody-at-all","password":"wrong"}"#);
    assert_eq!((nobody.status, &nobody.body), (401, &wrong.body), "who is a user is not told");
}

/// Every route there is, by each of the four.
fn walk(world: &World) {
    let inherited = INHERITED.iter().map(|route| (route, format!("{PREFIX}{}", route.path)));
    for (route, path) in OWN.iter().map(|route| (route, route.path.to_owned())).chain(inherited) {
        let path = path.replace("{name}", "vm1").replace(['{', '}'], "");
        let path = if route.method == "DELETE" { format!("{path}?host=nowhere") } else { path };
        for (who, expected) in [None, Some(EVE), Some(JOE), Some(ANN)].into_iter().zip(expected(route)) {
            // To whom it is open it has no end.
            if path.ends_with("/events") && who == Some(ANN) {
                continue;
            }
            let body = if route.method == "GET" || route.method == "DELETE" { "" } else { "[]" };
            let answer = ask(world, route.method.as_str(), &path, who, body);
            assert!(expected.contains(&answer.status), "{} {path} by {who:?}: {answer:#?}", route.method);
        }
    }
}
