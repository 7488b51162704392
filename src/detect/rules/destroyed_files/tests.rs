use crate::detect::Severity;
use crate::detect::testkit::World;
use crate::event::FileOp;

/// Destroys the file at a path, by a child of a process.
type Destroying<'a> = &'a dyn Fn(&mut World, u32, &str);

const DATA: [&str; 4] = ["jpg", "docx", "sql", "mp4"];
const CODE: [&str; 4] = ["py", "js", "css", "html"];

/// Some files of these kinds in three directories, each handled by one `act`.
fn done_to(kinds: &[&str], files: usize, act: impl Fn(&mut World, u32, &str)) -> Option<Severity> {
    let mut w = World::steady();
    let parent = w.init();
    for n in 0..files {
        let kind = kinds[n % kinds.len()];
        let path = format!("/srv/{}/f{n}.{kind}", ["a", "b", "c"][n % 3]);
        act(&mut w, parent, &path);
    }
    let all = w.all("file.many-destroyed");
    assert!(all.len() <= 1);
    all.first().map(|finding| finding.severity)
}

/// The same by one process, which runs this command line.
fn by(argv: &[&str], kinds: &[&str], op: FileOp) -> Option<Severity> {
    let mut w = World::steady();
    let init = w.init();
    let process = w.exec(init, &format!("/usr/bin/{}", argv[0]), argv);
    for n in 0..80 {
        let kind = kinds[n % kinds.len()];
        let path = format!("/srv/{}/f{n}.{kind}", ["a", "b", "c"][n % 3]);
        w.file(process, op, &path);
    }
    let all = w.all("file.many-destroyed");
    all.first().map(|finding| finding.severity)
}

const ENCRYPTS: [&str; 3] = ["python3", "-c", "h.write(os.urandom(n))"];
const EDITS: [&str; 3] = ["python3", "-c", "h.write(s.replace('a', 'b'))"];

#[test]
fn files_are_overwritten_in_any_way() {
    let shred = |w: &mut World, init, path: &str| {
        let shred = w.exec(init, "/usr/bin/shred", &["shred", "-u", path]);
        w.file(shred, FileOp::Write, path);
    };
    let encrypted = |w: &mut World, init, path: &str| {
        let argv = [
            "openssl",
            "enc",
            "-aes-256-cbc",
            "-in",
            path,
            "-out",
            "/tmp/.e",
        ];
        let openssl = w.exec(init, "/usr/bin/openssl", &argv);
        w.create(openssl, "/tmp/.e");
        w.exit(openssl);
        let mv = w.exec(init, "/bin/mv", &["mv", "/tmp/.e", path]);
        w.rename(mv, "/tmp/.e", path);
    };
    let encrypted_beside = |w: &mut World, init, path: &str| {
        let gpg = w.exec(init, "/usr/bin/gpg", &["gpg", "-c", path]);
        w.create(gpg, &format!("{path}.gpg"));
        let mv = w.exec(init, "/bin/mv", &["mv", "x", path]);
        w.rename(mv, &format!("{path}.gpg"), path);
    };
    let dropped = |w: &mut World, init, path: &str| {
        w.create(init, "/var/tmp/x.py");
        let script = w.exec(init, "/usr/bin/python3", &["python3", "/var/tmp/x.py"]);
        w.file(script, FileOp::Write, path);
    };
    let ways: [Destroying<'_>; 4] = [&shred, &encrypted, &encrypted_beside, &dropped];
    for (way, act) in ways.into_iter().enumerate() {
        assert_eq!(done_to(&["txt"], 20, act), Some(Severity::High), "{way}");
        assert_eq!(done_to(&["txt"], 19, act), None, "{way}");
    }
    assert_eq!(by(&ENCRYPTS, &["txt"], FileOp::Write), Some(Severity::High));
    assert_eq!(by(&EDITS, &DATA, FileOp::Truncate), Some(Severity::High));
    let shell = ["sh", "-c", "for f in /srv/*/*; do : >$f; done"];
    assert_eq!(by(&shell, &DATA, FileOp::Truncate), Some(Severity::High));
    // All of one kind and in one directory.
    let mut w = World::steady();
    let init = w.init();
    let shred = w.exec(init, "/usr/bin/shred", &["shred"]);
    for n in 0..30 {
        w.file(shred, FileOp::Write, &format!("/srv/f{n}.txt"));
    }
    assert_eq!(w.finding("file.many-destroyed").severity, Severity::Medium);
}

#[test]
fn work_that_writes_many_files_is_silent() {
    for argv in [
        &["rsync", "-a", "--inplace", "/a/", "/srv/"][..],
        &["tar", "-xf", "/backup.tar"],
        &["cp", "-r", "/a/.", "/srv"],
        &["python3", "/opt/optimize.py"],
        &["postgres"],
        &["openssl", "enc", "-d", "-aes-256-cbc"],
        &["sh", "/opt/render.sh"],
    ] {
        assert_eq!(by(argv, &DATA, FileOp::Truncate), None, "{argv:?}");
    }
    // Sources edited by inline code, and data of one kind.
    assert_eq!(by(&EDITS, &CODE, FileOp::Truncate), None);
    assert_eq!(by(&EDITS, &["csv"], FileOp::Truncate), None);
    // Files that it made itself.
    let own = |w: &mut World, init, path: &str| {
        let dd = w.exec(init, "/bin/dd", &["dd"]);
        w.create(dd, path);
        w.file(dd, FileOp::Write, path);
    };
    assert_eq!(done_to(&DATA, 40, own), None);
    // Tools of the image in a terminal, and started by a dropped script, and that script's sources.
    let by_hand = |w: &mut World, init, path: &str| {
        w.create(init, "/tmp/deploy.sh");
        let script = w.exec(init, "/bin/sh", &["sh", "/tmp/deploy.sh"]);
        let tar = w.exec(script, "/bin/tar", &["tar", "-xf", "/tmp/a.tar"]);
        w.file(tar, FileOp::Truncate, path);
    };
    assert_eq!(done_to(&DATA, 40, by_hand), None);
    let sources = |w: &mut World, init, path: &str| {
        w.create(init, "/tmp/deploy.py");
        let script = w.exec(init, "/usr/bin/python3", &["python3", "/tmp/deploy.py"]);
        w.file(script, FileOp::Truncate, path);
    };
    assert_eq!(done_to(&CODE, 40, sources), None);
    // Encrypted copies elsewhere, put in place in one step.
    let kept = |w: &mut World, init, path: &str| {
        let argv = ["openssl", "enc", "-in", path, "-out", "/backup/.part"];
        let openssl = w.exec(init, "/usr/bin/openssl", &argv);
        w.create(openssl, "/backup/.part");
        let mv = w.exec(init, "/bin/mv", &["mv"]);
        w.rename(mv, "/backup/.part", &format!("/backup{path}"));
    };
    assert_eq!(done_to(&DATA, 40, kept), None);
    // Encrypted copies beside the files.
    let copies = |w: &mut World, init, path: &str| {
        let openssl = w.exec(init, "/usr/bin/openssl", &["openssl", "enc", "-k", "x"]);
        w.create(openssl, &format!("/backup{path}.enc"));
    };
    assert_eq!(done_to(&DATA, 40, copies), None);
    // A version in the making beside the file, by a tool that encrypts nothing.
    let saved = |w: &mut World, init, path: &str| {
        let sed = w.exec(init, "/bin/sed", &["sed", "-i"]);
        w.create(sed, &format!("{path}.tmp"));
        w.rename(sed, &format!("{path}.tmp"), path);
    };
    assert_eq!(done_to(&DATA, 40, saved), None);
    // A few at a time.
    let slowly = |w: &mut World, init, path: &str| {
        let shred = w.exec(init, "/usr/bin/shred", &["shred", "-u", path]);
        w.file(shred, FileOp::Write, path);
        w.ticks(301);
    };
    assert_eq!(done_to(&["pem"], 22, slowly), None);
}

#[test]
fn data_that_is_deleted() {
    let deletes = |outside: bool, argv: &[&str], top: &str, kinds: &[&str]| {
        let mut w = World::steady();
        let above = if outside {
            w.session(&["sh", "-c", "x"])
        } else {
            w.init()
        };
        let tool = w.exec(above, &format!("/usr/bin/{}", argv[0]), argv);
        for n in 0..80 {
            let kind = kinds[n % kinds.len()];
            let path = format!("{top}/{}/f{n}.{kind}", ["a", "b", "c"][n % 3]);
            w.file(tool, FileOp::Unlink, &path);
        }
        let all = w.all("file.many-destroyed");
        all.first().map(|finding| finding.severity)
    };
    let find = ["find", "/data", "-type", "f", "-delete"];
    let old = ["find", "/data", "-mtime", "+7", "-delete"];
    let code = ["python3", "-c", "os.unlink(p)"];
    assert_eq!(deletes(true, &find, "/data", &DATA), Some(Severity::Medium));
    assert_eq!(
        deletes(true, &["rm", "-rf"], "/data", &DATA),
        Some(Severity::Medium)
    );
    assert_eq!(
        deletes(false, &code, "/data", &DATA),
        Some(Severity::Medium)
    );
    assert_eq!(deletes(true, &old, "/data", &DATA), None);
    assert_eq!(deletes(true, &find, "/app", &CODE), None);
    assert_eq!(deletes(true, &find, "/data", &["jpg"]), None);
    assert_eq!(deletes(true, &find, "/var/cache/nginx", &DATA), None);
    assert_eq!(deletes(true, &find, "/srv/uploads/tmp", &DATA), None);
    assert_eq!(deletes(false, &["rm", "-rf"], "/data", &DATA), None);
    assert_eq!(deletes(true, &["rsync", "--delete"], "/data", &DATA), None);
    // Replaced one by one, which another rule counts.
    let replaced = |w: &mut World, init, path: &str| {
        let python = w.exec(init, "/usr/bin/python3", &code);
        w.create(python, &format!("{path}.locked"));
        w.file(python, FileOp::Unlink, path);
    };
    assert_eq!(done_to(&DATA, 80, replaced), None);
}

#[test]
fn data_that_is_emptied_or_encrypted_under_other_names() {
    let emptied = |argv: &'static [&'static str]| {
        move |w: &mut World, init, path: &str| {
            let tool = w.exec(init, &format!("/usr/bin/{}", argv[0]), argv);
            w.file(tool, FileOp::Truncate, path);
        }
    };
    let truncate = emptied(&["truncate", "-s", "0"]);
    assert_eq!(done_to(&DATA, 40, truncate), Some(Severity::High));
    let copy = emptied(&["cp", "/dev/null", "x"]);
    assert_eq!(done_to(&DATA, 40, copy), Some(Severity::High));
    assert_eq!(done_to(&["log"], 40, truncate), None);
    assert_eq!(done_to(&DATA, 40, emptied(&["cp", "/srv/new", "x"])), None);
    let renamed = |deletes: bool| {
        move |w: &mut World, init, path: &str| {
            let name = format!(
                "/srv/out/{}.lck",
                path.len() * 7 + usize::from(path.as_bytes()[9])
            );
            let argv = ["openssl", "enc", "-aes-256-cbc", "-in", path, "-out", &name];
            let openssl = w.exec(init, "/usr/bin/openssl", &argv);
            w.create(openssl, &name);
            if deletes {
                let rm = w.exec(init, "/bin/rm", &["rm", path]);
                w.file(rm, FileOp::Unlink, path);
            }
        }
    };
    assert_eq!(done_to(&DATA, 40, renamed(true)), Some(Severity::High));
    assert_eq!(done_to(&DATA, 40, renamed(false)), None);
    assert_eq!(done_to(&["sql"], 40, renamed(true)), None, "dumps of a job");
}
