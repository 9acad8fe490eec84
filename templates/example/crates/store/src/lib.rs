//! Entries in a JSON file.

use std::{fs, io, path::Path};

use tally_core::Entry;
use thiserror::Error;

/// Why a file could not be read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("not a list of entries: {0}")]
    Content(#[from] serde_json::Error),
}

/// Reads the entries of a file; a file that is not there has none.
pub fn load(path: &Path) -> Result<Vec<Entry>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Writes the entries into a file, in place of what it had.
pub fn save(path: &Path, entries: &[Entry]) -> Result<(), StoreError> {
    Ok(fs::write(path, serde_json::to_vec_pretty(entries)?)?)
}
