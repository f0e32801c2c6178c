//! Puts the kept plans into the program: one line for each file in `plans/`, so that keeping a plan is saving a file.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=plans");
    let folder = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("plans");
    let files = fs::read_dir(&folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut plans: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    plans.sort();
    let mut text = String::from("&[\n");
    for path in plans {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        writeln!(text, "    ({name:?}, include_str!({:?})),", path.display().to_string()).expect("a string takes all");
    }
    text.push(']');
    let out = Path::new(&env::var_os("OUT_DIR").expect("cargo sets it")).join("plans.rs");
    fs::write(out, text).expect("cargo's folder can be written");
}
