//! What must not compile, and what rustc then says: one mistake, one error, under the user's own word.
//!
//! `ui/macro` holds what we word, `ui/rustc` what rustc words at our spans; the latter is tied to one toolchain. To accept new
//! output after having read it: `TRYBUILD=overwrite cargo test -p integration-tests --test ui`.

#[test]
fn our_own_words() {
    trybuild::TestCases::new().compile_fail("ui/macro/*.rs");
}

#[test]
fn rustc_s_words() {
    trybuild::TestCases::new().compile_fail("ui/rustc/*.rs");
}
