//! Turns `data/currencies.txt` into a Rust table.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=data/currencies.txt");
    let text = fs::read_to_string("data/currencies.txt").expect("the table is part of the package");
    let rows: Vec<String> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (code, digits) = line.split_once(' ').expect("a line is `CODE digits`");
            format!("    ({code:?}, {digits}),\n")
        })
        .collect();
    let table = format!(
        "pub(crate) const CURRENCIES: [(&str, u32); {}] = [\n{}];\n",
        rows.len(),
        rows.concat()
    );
    let folder = env::var("OUT_DIR").expect("Cargo sets OUT_DIR");
    fs::write(Path::new(&folder).join("currencies.rs"), table).expect("OUT_DIR can be written");
}
