//! The command as a person uses it.

use std::{env, fs, process};

fn tally(arguments: &[&str]) -> process::Output {
    process::Command::new(env!("CARGO_BIN_EXE_tally"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn what_is_added_is_shown() {
    let path = env::temp_dir().join(format!("tally-command-{}.json", process::id()));
    let file = path.to_str().unwrap();
    let added = tally(&[
        "--file",
        file,
        "add",
        "3.20 EUR",
        "bread",
        "--category",
        "food",
    ]);
    let shown = tally(&["--file", file, "show"]);
    fs::remove_file(&path).unwrap();
    assert!(added.status.success());
    assert!(String::from_utf8(shown.stdout).unwrap().starts_with("food"));
}

#[test]
fn an_unknown_category_fails() {
    assert!(
        !tally(&["add", "1 EUR", "x", "--category", "nothing"])
            .status
            .success()
    );
}
