//! What must not compile, and what rustc then says: one mistake, one error, under the user's own word.
//!
//! `ui/macro` holds what we word, `ui/rustc` what rustc words at our spans; the latter is tied to one toolchain. To accept new
//! output after having read it: `TRYBUILD=overwrite cargo test -p integration-tests --test ui`.

#[test]
fn our_own_words() {
    trybuild::TestCases::new().compile_fail("ui/macro/*.rs");
}

/// Of another toolchain than the oldest that is supported, they may be others.
#[test]
fn rustc_s_words() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = std::process::Command::new(rustc).arg("--version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    if !version.contains(concat!("rustc ", env!("CARGO_PKG_RUST_VERSION"), ".")) {
        eprintln!("not looked at: {version}");
        return;
    }
    trybuild::TestCases::new().compile_fail("ui/rustc/*.rs");
}
