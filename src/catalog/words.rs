//! Arguments of programs, and endings of names. They identify roles; no finding rests on one alone.

/// Endings of linkers, compilers and object tools whose name begins with a target.
pub(crate) const CROSS_TOOL_SUFFIXES: &[&[u8]] = &[
    b"-ld",
    b"-ld.bfd",
    b"-ld.gold",
    b"-gcc",
    b"-as",
    b"-strip",
    b"-objcopy",
];

/// Suffixes by which distributions distinguish variants of one tool.
pub(crate) const VARIANT_SUFFIXES: &[&[u8]] = &[
    b".openbsd",
    b".traditional",
    b".netkit",
    b".basic",
    b".tiny",
    b".static",
    b".real",
];

/// Python modules that create environments and install the installer into them.
pub(crate) const ENVIRONMENT_MODULES: &[&[u8]] = &[b"venv", b"ensurepip", b"virtualenv"];

/// Files that say how sources are built.
pub(crate) const BUILD_FILES: &[&[u8]] = &[
    b"configure",
    b"Makefile",
    b"makefile",
    b"GNUmakefile",
    b"CMakeLists.txt",
    b"meson.build",
    b"build.ninja",
    b"SConstruct",
    b"Cargo.toml",
    b"go.mod",
    b"build.gradle",
    b"pom.xml",
];

/// Arguments by which package managers of languages change something.
pub(crate) const CHANGE_WORDS: &[&[u8]] = &[
    b"install",
    b"i",
    b"ci",
    b"add",
    b"update",
    b"upgrade",
    b"remove",
    b"sync",
    b"uninstall",
    b"rebuild",
    b"-i",
    b"--install",
    b"create",
    b"link",
];

/// Arguments with which package managers of systems only answer a question.
pub(crate) const QUERY_WORDS: &[&[u8]] = &[
    b"list",
    b"search",
    b"info",
    b"show",
    b"-l",
    b"-L",
    b"-s",
    b"-qa",
    b"-W",
    b"--help",
    b"--version",
    b"-V",
    b"policy",
    b"check",
    b"-S",
    b"-Q",
    b"--print-architecture",
    b"--status",
    b"--list",
    b"--get-selections",
    b"--compare-versions",
    b"--print-foreign-architectures",
    b"audit",
];

/// Extensions of data files, which no program has.
pub(crate) const DATA_SUFFIXES: &[&[u8]] = &[
    b".jpg", b".jpeg", b".png", b".gif", b".txt", b".log", b".pdf", b".css", b".html", b".ico",
    b".mp3", b".conf", b".json", b".xml", b".csv", b".bak",
];

/// Beginnings of arguments that only coin miners take.
pub(crate) const MINER_ARGUMENTS: &[&[u8]] = &[
    b"stratum+tcp://",
    b"stratum+ssl://",
    b"stratum+tls://",
    b"stratum2+tcp://",
    b"stratum1+tcp://",
    b"--donate-level",
    b"--randomx-",
    b"--cpu-max-threads-hint",
    b"--nicehash",
    b"daemon+http://",
    b"--rig-id",
    b"--coin=",
    b"--algo=rx/",
    b"--max-cpu-usage",
];

/// Beginnings of the names of algorithms that only miners compute.
pub(crate) const MINING_ALGORITHMS: &[&[u8]] = &[
    b"rx/",
    b"cn/",
    b"cn-",
    b"randomx",
    b"cryptonight",
    b"kawpow",
    b"ethash",
    b"etchash",
    b"autolykos",
    b"ghostrider",
    b"verushash",
    b"kheavyhash",
    b"astrobwt",
    b"argon2/chukwa",
    b"yespower",
    b"progpow",
    b"firopow",
    b"octopus",
    b"beamhash",
];

/// Long options of shells that do not say what to run.
pub(crate) const SHELL_OPTIONS: &[&[u8]] = &[b"--norc", b"--noprofile", b"--login", b"--posix"];

/// Ends of the names of files that an interpreter or a web server runs.
const SCRIPT_ENDS: &[&[u8]] = &[
    b".sh", b".py", b".pl", b".rb", b".php", b".php5", b".php7", b".phtml", b".phar", b".jsp",
    b".jspx", b".asp", b".aspx", b".cgi", b".so", b".lua", b".war",
];

/// Whether a file of this name is one that an interpreter or a web server runs.
#[must_use]
pub(crate) fn is_script_name(leaf: &[u8]) -> bool {
    SCRIPT_ENDS.iter().any(|end| leaf.ends_with(end))
}

/// Calls of the mining pools' protocol, in inline code.
pub(crate) const POOL_CALLS: &[&[u8]] =
    &[b"mining.subscribe", b"mining.authorize", b"eth_submitLogin"];

/// TCP ports that almost only mining pools use.
pub(crate) const POOL_PORTS: &[u16] = &[3333, 7777, 14433, 14444, 45560, 45700];

/// Calls of interpreters that turn text into other text or code.
pub(crate) const DECODING_CALLS: &[&[u8]] = &[
    b"b64decode",
    b"b32decode",
    b"decodebytes",
    b"unhexlify",
    b"fromhex",
    b"decompress(",
    b"decode_base64",
    b"decode64",
    b"base64_decode",
    b"gzinflate",
    b"str_rot13",
    b"hex2bin",
    b"'base64'",
    b"\"base64\"",
    b"'hex'",
    b"\"hex\"",
    b"atob(",
    b"unpack u",
    b"unpack(\"u\"",
    b"unpack('u'",
    b"pack('H*'",
    b"pack(\"H*\"",
    b"pack q",
];

/// Calls of interpreters that run text.
pub(crate) const RUNNING_CALLS: &[&[u8]] = &[
    b"exec(",
    b"eval(",
    b"eval ",
    b"system(",
    b"system ",
    b"popen(",
    b"passthru(",
    b"assert(",
    b"Function(",
    b"runInThisContext",
    b"instance_eval",
];

/// Calls of interpreters that fetch text from another host.
pub(crate) const FETCHING_CALLS: &[&[u8]] = &[
    b"urlopen(",
    b"requests.get(",
    b"r.get(",
    b"httpx.get(",
    b"http.get(",
    b"https.get(",
    b"get('http",
    b"get(\"http",
    b"get \"http",
    b"get 'http",
    b"fetch(",
    b"open('http",
    b"open(\"http",
    b"file_get_contents('http",
    b"file_get_contents(\"http",
    b"Net::HTTP",
];

/// Words of inline code that talks to a peer.
pub(crate) const TALKS: &[&[u8]] = &[
    b"socket",
    b"Socket",
    b"/dev/tcp/",
    b"/dev/udp/",
    b"net.connect",
    b"createConnection",
    b"dgram",
    b"fsockopen",
    b"urlopen",
    b"ztcp",
];

/// Words of inline code that reads what its peer sends.
pub(crate) const RECEIVES: &[&[u8]] = &[
    b"recv",
    b"read",
    b"makefile",
    b"on('data'",
    b"on(\"data\"",
    b"on('message'",
    b"on(\"message\"",
    b".pipe(",
    b"gets",
    b"<$",
    b"<&",
    b"cat",
];

/// Words of inline code with a datagram socket.
pub(crate) const DATAGRAMS: &[&[u8]] = &[b"SOCK_DGRAM", b"dgram", b"UDPSocket", b"udp"];

/// Words of inline code that takes a datagram.
pub(crate) const TAKES_DATAGRAMS: &[&[u8]] =
    &[b"recv", b"on('message'", b"on(\"message\"", b".read("];

/// Words of inline code that runs commands.
pub(crate) const RUNS_COMMANDS: &[&[u8]] = &[
    b"subprocess",
    b"os.system",
    b"popen",
    b"pty.spawn",
    b"system(",
    b"exec(",
    b"eval ",
    b"eval(",
    b"execSync",
    b"spawn(",
    b"child_process",
    b"shell_exec",
    b"qx",
    b"`",
    b"Open3",
    b"|sh",
    b"| sh",
    b"|bash",
    b"| bash",
];

/// Extensions that programs add to the names of files in ordinary work: compressed, archived, saved,
/// temporary and converted files, and work that is done.
pub(crate) const ORDINARY_EXTENSIONS: &[&[u8]] = &[
    b"gz", b"bz2", b"xz", b"zst", b"lz4", b"lz", b"lzma", b"lzo", b"Z", b"br", b"zip", b"7z",
    b"rar", b"tar", b"tgz", b"bak", b"old", b"orig", b"save", b"prev", b"backup", b"dist", b"tmp",
    b"temp", b"part", b"partial", b"new", b"swp", b"swap", b"deleted", b"trash", b"done", b"webp",
    b"avif", b"jpg", b"png", b"pdf", b"txt", b"html", b"json", b"csv", b"xml", b"map", b"min",
    b"js", b"css", b"md5", b"sha1", b"sha256", b"sig",
];

/// Calls of inline code that encrypts, or that makes random data.
pub(crate) const ENCRYPTING_CALLS: &[&[u8]] = &[
    b"urandom",
    b"randbytes",
    b"token_bytes",
    b"randomBytes",
    b"encrypt",
    b"Fernet",
    b"Cipher",
    b"cipher",
    b"AES",
    b"ChaCha",
    b"RC4",
    b"ARC4",
    b"openssl enc",
];

/// Extensions of sources and configuration, which people and tools edit and replace by the dozen.
pub(crate) const SOURCE_EXTENSIONS: &[&[u8]] = &[
    b"py",
    b"pyc",
    b"js",
    b"mjs",
    b"cjs",
    b"ts",
    b"tsx",
    b"jsx",
    b"map",
    b"css",
    b"scss",
    b"less",
    b"html",
    b"htm",
    b"vue",
    b"php",
    b"rb",
    b"pl",
    b"pm",
    b"sh",
    b"lua",
    b"go",
    b"rs",
    b"c",
    b"h",
    b"cc",
    b"cpp",
    b"hpp",
    b"o",
    b"a",
    b"so",
    b"java",
    b"class",
    b"jar",
    b"kt",
    b"scala",
    b"cs",
    b"json",
    b"yml",
    b"yaml",
    b"toml",
    b"ini",
    b"conf",
    b"cfg",
    b"cnf",
    b"properties",
    b"env",
    b"xml",
    b"md",
    b"rst",
    b"tpl",
    b"tmpl",
    b"j2",
    b"erb",
    b"po",
    b"mo",
    b"lock",
    b"svg",
];
