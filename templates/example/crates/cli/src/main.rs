//! `tally add 3.20 EUR bread` and `tally show`.

use std::{error::Error, path::PathBuf};

use clap::{Parser, Subcommand};
use tally_core::{Category, Entry, totals};

/// Counts what you spend.
#[derive(Parser)]
struct Arguments {
    /// The file that keeps the entries.
    #[arg(long, default_value = "tally.json")]
    file: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Notes one thing that was bought.
    Add {
        /// Number and currency, as `3.20 EUR`.
        amount: String,
        what: String,
        #[arg(long, default_value = "other")]
        category: String,
    },
    /// Draws the totals.
    Show,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut entries = tally_store::load(&arguments.file)?;
    match arguments.verb {
        Verb::Add {
            amount,
            what,
            category,
        } => {
            let category = Category::ALL
                .into_iter()
                .find(|known| known.label() == category)
                .ok_or_else(|| format!("unknown category `{category}`"))?;
            entries.push(Entry {
                what,
                category,
                amount: amount.parse()?,
            });
            tally_store::save(&arguments.file, &entries)?;
        }
        Verb::Show => print!("{}", tally_chart::bars(&totals(&entries))),
    }
    Ok(())
}
