//! What is saved is what is loaded.

use std::{env, fs, path::Path, process};

use tally_core::{Category, Entry};
use tally_store::{StoreError, load, save};

#[test]
fn saved_entries_are_loaded() {
    let path = env::temp_dir().join(format!("tally-{}.json", process::id()));
    let entries = [Entry {
        what: "train".into(),
        category: Category::Travel,
        amount: "12 CHF".parse().unwrap(),
    }];
    save(&path, &entries).unwrap();
    let loaded = load(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(entries.as_slice(), loaded);
}

#[test]
fn a_missing_file_has_no_entries() {
    assert!(load(Path::new("no-such-file.json")).unwrap().is_empty());
}

#[test]
fn another_file_is_refused() {
    assert!(matches!(
        load(Path::new("Cargo.toml")),
        Err(StoreError::Content(_))
    ));
}
