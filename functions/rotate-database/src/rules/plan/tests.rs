use serde_json::{Value, json};

use super::*;

const OWNED: &str = "role=imm_owner";

/// A pair as a hand-over leaves it, with `changes` merged into it.
fn settled(changes: &Value) -> Observed {
    let login = json!({
        "login": true, "inherit": true, "limit": -1, "administered": true,
        "settings": [{"database": null, "values": [OWNED]}]
    });
    let member = |member| json!({"role": "imm_owner", "member": member, "inherit": true, "set": true});
    let mut document = json!({
        "major": 16, "database": "app", "search_path": "\"$user\", public",
        "admin": {"name": "admin", "superuser": false, "createrole": true},
        "roles": {
            "imm": login, "imm_clone": login,
            "imm_owner": {"inherit": true, "limit": -1, "administered": true}
        },
        "memberships": [member("imm"), member("imm_clone")]
    });
    merge(&mut document, changes);
    serde_json::from_value(document).unwrap()
}

/// An application's user before the first set-up, with `changes` merged into it.
fn fresh(changes: &Value) -> Observed {
    let mut document = json!({
        "major": 16, "database": "app", "search_path": "\"$user\", public",
        "admin": {"name": "admin", "superuser": false, "createrole": true},
        "roles": {"imm": {"login": true, "inherit": true, "limit": -1, "administered": true}}
    });
    merge(&mut document, changes);
    serde_json::from_value(document).unwrap()
}

/// JSON merge patch.
fn merge(document: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else { return };
    for (key, value) in patch {
        if value.is_null() {
            document.as_object_mut().unwrap().remove(key);
        } else if value.is_object() {
            merge(document.as_object_mut().unwrap().entry(key).or_insert_with(|| json!({})), value);
        } else {
            document[key] = value.clone();
        }
    }
}

fn imm() -> Pair {
    Pair::of("imm").unwrap()
}

#[track_caller]
fn planned(observed: &Observed, current: &str, expected: &[&str]) {
    let statements = plan(observed, &imm(), current).unwrap();
    let shown: Vec<_> = statements.iter().map(Statement::shown).collect();
    assert_eq!(shown, expected);
}

#[track_caller]
fn refused(observed: &Observed, current: &str, kind: ErrorKind, reason: &str) {
    let refusal = plan(observed, &imm(), current).unwrap_err();
    assert_eq!(refusal.kind, kind, "{}", refusal.reason);
    assert!(refusal.reason.contains(reason), "{}", refusal.reason);
}

#[test]
fn a_settled_pair_gets_a_password_and_nothing_else() {
    planned(&settled(&json!({})), "imm", &["ALTER ROLE \"imm_clone\" PASSWORD '…'"]);
    planned(&settled(&json!({})), "imm_clone", &["ALTER ROLE \"imm\" PASSWORD '…'"]);
    let explicit = json!([{"database": null, "values": [OWNED, "search_path=imm, public"]}]);
    let explicit = json!({"imm": {"settings": explicit}, "imm_clone": {"settings": explicit}});
    let observed = settled(&json!({"schemas": ["imm"], "roles": explicit}));
    planned(&observed, "imm", &["ALTER ROLE \"imm_clone\" PASSWORD '…'"]);
}

#[test]
fn the_first_set_up_makes_the_user_the_owner() {
    let settings = json!([
        {"database": null, "values": ["search_path=\"$user\", public", "work_mem=8MB"]},
        {"database": "other db", "values": ["work_mem=9MB"]}
    ]);
    let user = json!({"limit": 5, "until": "2030-01-01 00:00:00+00", "settings": settings});
    let set_up = |login: &str, other: &str, made: [&str; 2]| {
        let mut lines = vec![
            format!("ALTER ROLE \"{login}\" RENAME TO \"imm_owner\""),
            "ALTER ROLE \"imm_owner\" NOLOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity' PASSWORD NULL"
                .to_owned(),
            "ALTER ROLE \"imm_owner\" RESET ALL".to_owned(),
            "ALTER ROLE \"imm_owner\" IN DATABASE \"other db\" RESET ALL".to_owned(),
            "SET LOCAL createrole_self_grant = ''".to_owned(),
        ];
        let create = "LOGIN INHERIT CONNECTION LIMIT 5 VALID UNTIL '2030-01-01 00:00:00+00' PASSWORD '…'";
        lines.extend(made.map(|login| format!("CREATE ROLE \"{login}\" {create}")));
        lines.push("GRANT \"imm_owner\" TO \"admin\" WITH INHERIT FALSE, SET TRUE".to_owned());
        for login in [login, other] {
            lines.push(format!("GRANT \"imm_owner\" TO \"{login}\" WITH INHERIT TRUE, SET TRUE"));
        }
        for login in [login, other] {
            lines.push(format!("ALTER ROLE \"{login}\" SET \"search_path\" = '$user', 'public'"));
            lines.push(format!("ALTER ROLE \"{login}\" SET \"work_mem\" = '8MB'"));
            lines.push(format!("ALTER ROLE \"{login}\" IN DATABASE \"other db\" SET \"work_mem\" = '9MB'"));
            lines.push(format!("ALTER ROLE \"{login}\" SET \"role\" = 'imm_owner'"));
        }
        lines.push("REVOKE \"imm_owner\" FROM \"admin\"".to_owned());
        lines
    };
    let check = |observed: &Observed, login: &str, lines: Vec<String>| {
        planned(observed, login, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    };
    check(&fresh(&json!({"roles": {"imm": user}})), "imm", set_up("imm", "imm_clone", ["imm", "imm_clone"]));
    // The first login was dropped by hand.
    let only = json!({"login": true, "inherit": true, "administered": true});
    let mut only_clone = fresh(&json!({"roles": {"imm": null, "imm_clone": only}}));
    let role = only_clone.roles.get_mut("imm_clone").unwrap();
    (role.limit, role.until) = (5, Some("2030-01-01 00:00:00+00".to_owned()));
    role.settings = serde_json::from_value(settings).unwrap();
    check(&only_clone, "imm_clone", set_up("imm_clone", "imm", ["imm_clone", "imm"]));
    // Each new login has the verifier of its own password.
    let statements = plan(&only_clone, &imm(), "imm_clone").unwrap();
    let whose: Vec<_> = statements.iter().filter_map(|one| one.password).collect();
    assert_eq!(whose, [Whose::Current, Whose::Pending]);
}

#[test]
fn unexpected_roles_are_refused() {
    let identity = ErrorKind::Identity;
    for (changes, reason) in [
        (json!({"roles": {"imm": null}}), "there is no role imm"),
        (json!({"admin": {"name": "imm"}}), "the administrator itself"),
        (json!({"roles": {"imm_clone": {"elevated": true}}}), "imm_clone administers"),
        (json!({"roles": {"imm_owner": {"elevated": true}}}), "imm_owner administers"),
        (json!({"roles": {"imm": {"iam": true}}}), "rds_iam"),
        (json!({"memberships": []}), "not a member"),
        (json!({"roles": {"imm": {"settings": []}, "imm_owner": {"login": true}}}), "can log in"),
        (
            json!({"roles": {"imm": {"settings": [{"database": "d", "values": ["role=x"]}]}}}),
            "acts as x, not as imm_owner",
        ),
    ] {
        refused(&settled(&changes), "imm", identity, reason);
    }
    // A login can set its own `role`, so that is no proof without a membership.
    let stranger = json!({
        "memberships": [{"role": "imm_owner", "member": "imm", "inherit": true, "set": true}],
        "roles": {"imm_clone": {"settings": []}}
    });
    refused(&settled(&stranger), "imm", identity, "imm_clone exists");
    let unrelated = json!({"roles": {"imm_clone": {"login": true, "administered": true}}});
    refused(&fresh(&unrelated), "imm", identity, "imm_clone exists");
    let schema = json!({"schemas": ["imm"], "connected": ["imm"]});
    refused(&fresh(&schema), "imm", identity, "imm is connected");
    let disconnected = json!({"schemas": ["imm"], "connected": ["imm_clone"]});
    assert!(plan(&fresh(&disconnected), &imm(), "imm").is_ok());
}

#[test]
fn a_refusal_names_the_right_that_the_administrator_lacks() {
    let permission = ErrorKind::Permission;
    refused(
        &settled(&json!({"admin": {"createrole": false}})),
        "imm",
        permission,
        "ALTER ROLE \"admin\" CREATEROLE",
    );
    let none = json!({"roles": {"imm": {"administered": false}}});
    let cure = "GRANT \"imm\" TO \"admin\" WITH ADMIN OPTION";
    refused(&fresh(&none), "imm", permission, cure);
    refused(&settled(&none), "imm_clone", permission, cure);
    // The plan does not touch the login in use.
    assert!(plan(&settled(&none), &imm(), "imm").is_ok());
    let privilege = json!([{
        "kind": "TABLE", "target": "public.audit", "part": null, "owner": "dba", "holder": "imm",
        "privilege": "SELECT", "grantable": false, "may": false
    }]);
    let reported = "GRANT SELECT ON TABLE public.audit TO \"imm_owner\" (as dba";
    refused(&settled(&json!({"privileges": privilege})), "imm", permission, reported);
    let granted = json!([{"role": "group", "admin": true, "inherit": true, "set": false, "may": false}]);
    let reported = "GRANT \"group\" TO \"imm_owner\" WITH ADMIN TRUE, INHERIT TRUE, SET FALSE";
    refused(&settled(&json!({"granted": granted})), "imm", permission, reported);
    // One message lists all, so that the operator does not wait for a retry after each fix.
    let both = settled(&json!({"privileges": privilege, "granted": granted}));
    refused(&both, "imm", permission, "(as dba, or a role that may); GRANT \"group\"");
}

#[test]
fn each_damage_has_its_repair() {
    let lent = "GRANT \"imm_owner\" TO \"admin\" WITH INHERIT FALSE, SET TRUE";
    let returned = "REVOKE \"imm_owner\" FROM \"admin\"";
    let password = "ALTER ROLE \"imm_clone\" PASSWORD '…'";
    let member = json!([{"role": "imm_owner", "member": "imm_clone", "inherit": true, "set": false}]);
    for (changes, expected) in [
        (
            json!({"roles": {"imm_owner": {"login": true}}}),
            vec!["ALTER ROLE \"imm_owner\" NOLOGIN PASSWORD NULL", password],
        ),
        (
            json!({"roles": {"imm": {"createdb": true, "bypassrls": true}}}),
            vec!["ALTER ROLE \"imm_owner\" CREATEDB BYPASSRLS", password],
        ),
        (
            json!({"roles": {"imm_clone": {"login": false, "inherit": false, "limit": 3, "until": "infinity"}}}),
            vec!["ALTER ROLE \"imm_clone\" LOGIN INHERIT CONNECTION LIMIT -1", password],
        ),
        (
            json!({"roles": {"imm": {"until": "2030-01-01 00:00:00+00"}}}),
            vec!["ALTER ROLE \"imm_clone\" VALID UNTIL '2030-01-01 00:00:00+00'", password],
        ),
        (
            json!({"memberships": member}),
            vec![
                password,
                "GRANT \"imm_owner\" TO \"imm\" WITH INHERIT TRUE, SET TRUE",
                "GRANT \"imm_owner\" TO \"imm_clone\" WITH INHERIT TRUE, SET TRUE",
            ],
        ),
        (
            json!({"roles": {"imm_clone": {"settings": []}}}),
            vec![password, lent, "ALTER ROLE \"imm_clone\" SET \"role\" = 'imm_owner'", returned],
        ),
        (
            json!({"roles": {"imm_clone": {"settings": []}, "imm_owner": {"self_granted": true}}}),
            vec![
                password,
                "GRANT \"imm_owner\" TO \"admin\" WITH SET TRUE",
                "ALTER ROLE \"imm_clone\" SET \"role\" = 'imm_owner'",
                "REVOKE SET OPTION FOR \"imm_owner\" FROM \"admin\"",
            ],
        ),
        (
            json!({"major": 15, "roles": {"imm_clone": {"settings": []}}}),
            vec![
                password,
                "GRANT \"imm_owner\" TO \"admin\"",
                "ALTER ROLE \"imm_clone\" SET \"role\" = 'imm_owner'",
                returned,
            ],
        ),
        (
            json!({"roles": {"imm_clone": {"assumable": true, "owns": true}}}),
            vec![
                password,
                "SET LOCAL ROLE \"imm_clone\"",
                "REASSIGN OWNED BY \"imm_clone\" TO \"imm_owner\"",
                "SET LOCAL ROLE NONE",
            ],
        ),
        (
            json!({"roles": {"imm": {"settings": [
                {"database": null, "values": [OWNED, "a.b=it's \\"]},
                {"database": "d", "values": ["role=none"]}
            ]}}}),
            vec![
                password,
                "ALTER ROLE \"imm\" IN DATABASE \"d\" RESET \"role\"",
                "ALTER ROLE \"imm_clone\" SET \"a.b\" =  E'it''s \\\\'",
            ],
        ),
        (
            json!({"roles": {"imm_clone": {"settings": [{"database": null, "values": [OWNED, "work_mem=1MB"]}]}}}),
            vec![password, "ALTER ROLE \"imm_clone\" RESET \"work_mem\""],
        ),
        (
            json!({"schemas": ["imm", "imm_clone"]}),
            vec![
                password,
                "ALTER ROLE \"imm\" IN DATABASE \"app\" SET \"search_path\" = 'imm', 'imm_clone', 'public'",
                "ALTER ROLE \"imm_clone\" IN DATABASE \"app\" SET \"search_path\" = 'imm', 'imm_clone', 'public'",
            ],
        ),
        (
            json!({"privileges": [
                {"kind": "TABLE", "target": "t", "part": "\"c\"", "owner": "dba", "holder": "imm",
                 "privilege": "SELECT", "grantable": true, "may": true},
                {"kind": "DEFAULT", "target": "TABLES", "part": "s", "owner": "dba", "holder": "imm",
                 "privilege": "SELECT", "grantable": false, "may": true},
                {"kind": "SCHEMA", "target": "s", "part": null, "owner": "dba", "holder": "imm",
                 "privilege": "USAGE", "grantable": true, "may": false}
            ]}),
            vec![
                password,
                "GRANT \"imm\" TO \"admin\" WITH INHERIT FALSE, SET TRUE",
                "GRANT SELECT (\"c\") ON TABLE t TO \"imm_owner\" WITH GRANT OPTION",
                "ALTER DEFAULT PRIVILEGES FOR ROLE \"dba\" IN SCHEMA s GRANT SELECT ON TABLES TO \"imm_owner\"",
                "SET LOCAL ROLE \"imm\"",
                "GRANT USAGE ON SCHEMA s TO \"imm_owner\" WITH GRANT OPTION",
                "SET LOCAL ROLE NONE",
                "REVOKE \"imm\" FROM \"admin\"",
            ],
        ),
    ] {
        planned(&settled(&changes), "imm", &expected);
    }
}
