//! Examples: run them with `cargo run --release --example purchases`, `cart`, `cdnow` or `nexmark`.
