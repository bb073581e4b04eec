//! Every seed, and every input that has once failed.
use std::fs;
use std::path::Path;

#[test]
fn what_once_failed_does_no_more() {
    for hostile::Target { name, run, .. } in hostile::TARGETS {
        let mut inputs = 0;
        for corpus in ["seeds", "regressions"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(corpus).join(name);
            let Ok(files) = fs::read_dir(&folder) else { continue };
            for file in files {
                let path = file.unwrap().path();
                eprintln!("{}", path.display());
                run(&fs::read(&path).unwrap());
                inputs += 1;
            }
        }
        assert!(inputs > 0, "there is nothing for {name}");
    }
}
