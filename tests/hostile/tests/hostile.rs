//! Every seed, and every input that has once failed.
use std::fs;
use std::path::Path;

#[test]
fn what_once_failed_does_no_more() {
    for (name, target) in hostile::TARGETS {
        let mut run = 0;
        for corpus in ["seeds", "regressions"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(corpus).join(name);
            let Ok(files) = fs::read_dir(&folder) else { continue };
            for file in files {
                let path = file.unwrap().path();
                eprintln!("{}", path.display());
                target(&fs::read(&path).unwrap());
                run += 1;
            }
        }
        assert!(run > 0, "there is nothing for {name}");
    }
}
