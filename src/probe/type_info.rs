//! Reader of the kernel's type information (BTF): offsets of structure members, names of helpers.
//!
//! The kernel's own has some 140,000 types, of which fewer than a hundred are needed. It is
//! read once, in place: only the position of each type is stored.

use std::path::Path;

use aya::{Btf, Endianness};
use rustc_hash::{FxHashMap, FxHashSet};

/// Type information of the running kernel.
pub(super) const KERNEL: &str = "/sys/kernel/btf/vmlinux";
/// Bytes of a type without what its kind appends: name, kind, size or type.
const TYPE: usize = 12;
const MAGIC: u16 = 0xeb9f;
/// Bytes of the header that this version writes.
const HEADER: usize = 24;
/// Types that may follow each other by reference (typedef of const of …); real chains are short.
const CHAIN: usize = 32;

/// Kinds of types, as BTF numbers them.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const FWD: u32 = 7;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const FLOAT: u32 = 16;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// Why type information cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TypeInfoError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// The bytes are no BTF, or are cut.
    #[error("not valid BTF: {0}")]
    Invalid(&'static str),
    /// A kind of type that this reader does not know, so that it cannot find the next one.
    #[error("unknown BTF kind {0}")]
    UnknownKind(u32),
    /// The loader refused the reduced copy.
    #[error(transparent)]
    Reduced(#[from] aya::BtfError),
}

use TypeInfoError::Invalid;

/// Type information of the kernel, or of a module together with the kernel's.
pub(super) struct TypeInfo<'a> {
    /// The kernel's, for a module.
    base: Option<&'a Self>,
    data: Vec<u8>,
    /// Position in `data` of each type; the first has the id [`Self::first_id`].
    positions: Vec<u32>,
    /// Position in `data` of the strings.
    strings: usize,
    /// Bytes of the strings.
    strings_len: usize,
}

/// A structure or union: which type information holds it, and its position.
#[derive(Clone, Copy)]
struct TypeAt<'a> {
    info: &'a TypeInfo<'a>,
    position: usize,
}

impl<'a> TypeInfo<'a> {
    /// Reads the file at `path`; a module's needs the kernel's as `base`.
    pub(super) fn read(
        path: impl AsRef<Path>,
        base: Option<&'a Self>,
    ) -> Result<Self, TypeInfoError> {
        Self::parse(std::fs::read(path)?, base)
    }

    fn parse(data: Vec<u8>, base: Option<&'a Self>) -> Result<Self, TypeInfoError> {
        if word(&data, 0).map(|word| word & 0xffff) != Some(u32::from(MAGIC)) {
            return Err(Invalid("wrong magic number"));
        }
        let field = |at| word(&data, at).and_then(|field| usize::try_from(field).ok());
        let header = || Some((field(4)?, field(8)?, field(12)?, field(16)?, field(20)?));
        let Some((header, types, types_len, strings, strings_len)) = header() else {
            return Err(Invalid("cut header"));
        };
        let (begin, strings) = (header + types, header + strings);
        let end = begin + types_len;
        if data.len() < end || data.len() < strings + strings_len {
            return Err(Invalid("shorter than its header says"));
        }
        let mut positions = Vec::with_capacity(types_len / 32);
        let mut at = begin;
        while at < end {
            positions.push(u32::try_from(at).map_err(|_| Invalid("too large"))?);
            let info = word(&data, at + 4).ok_or(Invalid("cut type"))?;
            at += TYPE + appended(info)?;
        }
        if at != end {
            return Err(Invalid("cut type"));
        }
        Ok(Self {
            base,
            data,
            positions,
            strings,
            strings_len,
        })
    }

    /// Id of the first type here; 0 is `void`.
    fn first_id(&self) -> usize {
        self.base
            .map_or(1, |base| base.first_id() + base.positions.len())
    }

    /// The type with this id; `None` for `void` and for ids that are not there.
    fn by_id(&'a self, id: u32) -> Option<TypeAt<'a>> {
        let id = usize::try_from(id).ok()?;
        match id.checked_sub(self.first_id()) {
            Some(index) => Some(TypeAt {
                info: self,
                position: usize::try_from(*self.positions.get(index)?).ok()?,
            }),
            None => self.base?.by_id(u32::try_from(id).ok()?),
        }
    }

    /// The string at an offset; empty for a type without a name.
    fn string(&self, offset: u32) -> Option<&[u8]> {
        let offset = usize::try_from(offset).ok()?;
        let own = match self.base {
            Some(base) if offset < base.strings_len => {
                return base.string(u32::try_from(offset).ok()?);
            }
            Some(base) => offset - base.strings_len,
            None => offset,
        };
        let strings = self
            .data
            .get(self.strings..self.strings + self.strings_len)?;
        strings.get(own..)?.split(|byte| *byte == 0).next()
    }

    fn types(&'a self) -> impl Iterator<Item = TypeAt<'a>> {
        self.positions.iter().map(|position| TypeAt {
            info: self,
            position: *position as usize,
        })
    }

    /// The structures with these names, for [`Structures::offset`]. A name may have several.
    pub(super) fn structures<'n>(
        &'a self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Structures<'a> {
        let names: FxHashSet<&[u8]> = names.into_iter().map(str::as_bytes).collect();
        let mut found = FxHashMap::<&[u8], Vec<TypeAt<'a>>>::default();
        for structure in self.types() {
            if matches!(structure.kind(), kind::STRUCT | kind::UNION)
                && let Some(name) = structure.name()
                && names.contains(name)
            {
                found.entry(name).or_default().push(structure);
            }
        }
        Structures(found)
    }

    /// Whether the enumeration `name` has this member; `None` when there is no such enumeration.
    pub(super) fn enumeration_has(&'a self, name: &str, member: &str) -> Option<bool> {
        let list = self
            .types()
            .find(|t| t.kind() == kind::ENUM && t.name() == Some(name.as_bytes()))?;
        Some((0..list.count()).any(|index| {
            let name = list.word(TYPE + index * 8).and_then(|at| self.string(at));
            name == Some(member.as_bytes())
        }))
    }

    /// A copy for the loader, which looks up tracepoints and functions by name: every type keeps
    /// its id, but only tracepoints (`btf_trace_…`) and `functions` keep their names. The rest
    /// would take a hundred times the memory and the time.
    pub(super) fn reduced(&'a self, functions: &[&str]) -> Result<Btf, TypeInfoError> {
        let mut strings = vec![0_u8];
        let mut types = Vec::with_capacity(self.positions.len() * TYPE);
        for entry in self.types() {
            let name = match entry.kind() {
                kind::TYPEDEF => entry.name().filter(|name| name.starts_with(b"btf_trace_")),
                kind::FUNC => entry
                    .name()
                    .filter(|name| functions.iter().any(|f| f.as_bytes() == *name)),
                _ => None,
            };
            let [kind, name] = match name {
                Some(name) => {
                    let at = u32::try_from(strings.len()).map_err(|_| Invalid("too large"))?;
                    strings.extend_from_slice(name);
                    strings.push(0);
                    [entry.kind(), at]
                }
                None => [kind::FWD, 0],
            };
            for word in [name, kind << 24, 0] {
                types.extend(word.to_ne_bytes());
            }
        }
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|_| Invalid("too large"));
        let (types_len, strings_len) = (length(&types)?, length(&strings)?);
        let mut all = Vec::with_capacity(HEADER + types.len() + strings.len());
        all.extend(MAGIC.to_ne_bytes());
        // Version 1, no flags.
        all.extend([1, 0]);
        for word in [24, 0, types_len, types_len, strings_len] {
            all.extend(u32::to_ne_bytes(word));
        }
        all.append(&mut types);
        all.append(&mut strings);
        Ok(Btf::parse(&all, Endianness::default())?)
    }
}

/// Structures that [`TypeInfo::structures`] found, by name.
pub(super) struct Structures<'a>(FxHashMap<&'a [u8], Vec<TypeAt<'a>>>);

impl Structures<'_> {
    /// Offset in bytes of a member, which may lie in an anonymous structure or union; dots lead
    /// into embedded structures.
    pub(super) fn offset(&self, structure: &str, member: &str) -> Option<u32> {
        self.0.get(structure.as_bytes())?.iter().find_map(|start| {
            let (mut offset, mut here) = (0_u32, *start);
            let mut names = member.split('.').peekable();
            while let Some(name) = names.next() {
                let (at, next) = here.member(name.as_bytes())?;
                offset = at.saturating_add(offset);
                if names.peek().is_some() {
                    here = next?;
                }
            }
            Some(offset)
        })
    }
}

impl<'a> TypeAt<'a> {
    fn word(self, offset: usize) -> Option<u32> {
        word(&self.info.data, self.position + offset)
    }

    fn info_word(self) -> u32 {
        self.word(4).unwrap_or(0)
    }

    fn kind(self) -> u32 {
        self.info_word() >> 24 & 31
    }

    /// Members, parameters or values.
    fn count(self) -> usize {
        (self.info_word() & 0xffff) as usize
    }

    fn name(self) -> Option<&'a [u8]> {
        self.info.string(self.word(0)?)
    }

    /// The type behind typedefs and qualifiers; `None` for `void`.
    fn resolved(self) -> Option<Self> {
        let mut here = self;
        for _ in 0..CHAIN {
            match here.kind() {
                kind::TYPEDEF | kind::CONST | kind::VOLATILE | kind::RESTRICT | kind::TYPE_TAG => {
                    here = here.info.by_id(here.word(8)?)?
                }
                _ => return Some(here),
            }
        }
        None
    }

    /// Offset in bytes and type of a member of a structure or union.
    fn member(self, wanted: &[u8]) -> Option<(u32, Option<Self>)> {
        self.member_within(wanted, CHAIN)
    }

    fn member_within(self, wanted: &[u8], depth: usize) -> Option<(u32, Option<Self>)> {
        if !matches!(self.kind(), kind::STRUCT | kind::UNION) {
            return None;
        }
        let depth = depth.checked_sub(1)?;
        let bitfields = self.info_word() >> 31 != 0;
        (0..self.count()).find_map(|index| {
            let at = TYPE + index * 12;
            let name = self.info.string(self.word(at)?)?;
            if name != wanted && !name.is_empty() {
                return None;
            }
            let bits = self.word(at + 8)?;
            let offset = if bitfields { bits & 0xff_ffff } else { bits } / 8;
            let of = self.info.by_id(self.word(at + 4)?);
            let of = of.and_then(TypeAt::resolved);
            if name == wanted {
                return Some((offset, of));
            }
            let (inner, of) = of?.member_within(wanted, depth)?;
            Some((offset.saturating_add(inner), of))
        })
    }
}

/// Bytes that follow the first [`TYPE`] of a type with this kind word.
fn appended(info: u32) -> Result<usize, TypeInfoError> {
    let count = (info & 0xffff) as usize;
    Ok(match info >> 24 & 31 {
        kind::PTR
        | kind::FWD
        | kind::TYPEDEF
        | kind::VOLATILE
        | kind::CONST
        | kind::RESTRICT
        | kind::FUNC
        | kind::FLOAT
        | kind::TYPE_TAG => 0,
        kind::INT | kind::VAR | kind::DECL_TAG => 4,
        kind::ARRAY => 12,
        kind::ENUM | kind::FUNC_PROTO => count * 8,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => count * 12,
        other => return Err(TypeInfoError::UnknownKind(other)),
    })
}

/// Four bytes in this machine's order.
fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The bytes of type information with these types and strings.
    fn bytes(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let length = |bytes: usize| u32::try_from(bytes).unwrap();
        let types_len = length(types.len() * 4);
        let mut all = Vec::from(MAGIC.to_ne_bytes());
        all.extend([1, 0]);
        for word in [24, 0, types_len, types_len, length(strings.len())] {
            all.extend(word.to_ne_bytes());
        }
        all.extend(types.iter().flat_map(|word| word.to_ne_bytes()));
        all.extend(strings);
        all
    }

    /// `struct s { int a; union { const struct s *b; int c; }; }`, ids 1 to 5, and a list.
    fn sample() -> Vec<u8> {
        let of = |kind: u32, count: u32| kind << 24 | count;
        #[rustfmt::skip]
        let types = [
            1, of(kind::INT, 0), 4, 32,
            5, of(kind::STRUCT, 2), 16, 7, 1, 0, 0, 3, 64,
            0, of(kind::UNION, 2), 8, 9, 4, 0, 11, 1, 0,
            0, of(kind::PTR, 0), 5,
            0, of(kind::CONST, 0), 2,
            13, of(kind::ENUM, 1), 4, 18, 0,
        ];
        bytes(&types, b"\0int\0s\0a\0b\0c\0list\0one\0")
    }

    #[test]
    fn members_are_found_also_in_anonymous_unions() {
        let info = TypeInfo::parse(sample(), None).unwrap();
        let structures = info.structures(["s"]);
        assert_eq!(structures.offset("s", "a"), Some(0));
        assert_eq!(structures.offset("s", "b"), Some(8));
        assert_eq!(structures.offset("s", "c"), Some(8));
        assert_eq!(structures.offset("s", "d"), None);
        assert_eq!(structures.offset("int", "a"), None);
        assert_eq!(info.enumeration_has("list", "one"), Some(true));
        assert_eq!(info.enumeration_has("list", "two"), Some(false));
        assert_eq!(info.enumeration_has("other", "one"), None);
    }

    #[test]
    fn a_modules_types_and_strings_follow_the_kernels() {
        let kernel = TypeInfo::parse(sample(), None).unwrap();
        let strings = u32::try_from(kernel.strings_len).unwrap();
        // Id 7: `struct m { int a; struct s s; }`.
        #[rustfmt::skip]
        let types = [
            strings + 1, kind::STRUCT << 24 | 2, 24, 7, 1, 0, 5, 2, 64,
        ];
        let module = bytes(&types, b"\0m\0");
        let module = TypeInfo::parse(module, Some(&kernel)).unwrap();
        let structures = module.structures(["m", "s"]);
        assert_eq!(structures.offset("m", "a"), Some(0));
        assert_eq!(structures.offset("m", "s.c"), Some(16));
        assert_eq!(structures.offset("s", "a"), None, "the kernel's own");
    }

    #[test]
    fn the_reduced_copy_names_the_same_tracepoints_and_functions() {
        let kernel = TypeInfo::read(KERNEL, None).unwrap();
        let reduced = kernel.reduced(&["cap_capable"]).unwrap();
        let whole = Btf::from_sys_fs().unwrap();
        for (name, kind) in [
            ("btf_trace_sys_exit", aya_obj::btf::BtfKind::Typedef),
            (
                "btf_trace_sched_process_exec",
                aya_obj::btf::BtfKind::Typedef,
            ),
            ("cap_capable", aya_obj::btf::BtfKind::Func),
        ] {
            assert_eq!(
                reduced.id_by_type_name_kind(name, kind).unwrap(),
                whole.id_by_type_name_kind(name, kind).unwrap(),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            types in proptest::collection::vec(any::<u32>(), 0..64),
            strings in proptest::collection::vec(any::<u8>(), 0..32),
            cut in 0_usize..400,
        ) {
            let mut all = bytes(&types, &strings);
            all.truncate(cut);
            if let Ok(info) = TypeInfo::parse(all, None) {
                let _ = info.structures(["", "s"]).offset("", "a");
                let _ = info.enumeration_has("", "one");
            }
        }
    }
}
