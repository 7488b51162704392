//! Fields of kernel structures that the programs read; the loader finds them in the kernel's BTF.

/// A field that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Structure.
    pub structure: &'static str,
    /// Member, dots into embedded structures; `|` between the names of different kernels.
    pub member: &'static str,
    /// Whether the programs that read it need it.
    pub required: bool,
}

macro_rules! fields {
    ($($id:ident $structure:literal $member:literal $required:literal;)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(usize)]
        enum Index { $($id,)* COUNT }
        $(
            #[doc = concat!("Index of `", $structure, ".", $member, "`.")]
            pub const $id: usize = Index::$id as usize;
        )*
        /// Number of fields.
        pub const COUNT: usize = Index::COUNT as usize;
        /// The fields, in the order of the kernel programs' table.
        pub const FIELDS: [Field; COUNT] = [$(Field {
            structure: $structure,
            member: $member,
            required: $required,
        },)*];
    };
}

fields! {
    // On x86 it states whether the call is a 32-bit one, on Arm whether the program is.
    TASK_ABI "task_struct" "thread_info.status|thread_info.flags" false;
    TASK_FILES "task_struct" "files" true;
    TASK_FS "task_struct" "fs" true;
    TASK_REAL_CRED "task_struct" "real_cred" true;
    FILES_FDT "files_struct" "fdt" true;
    FDT_MAX "fdtable" "max_fds" true;
    FDT_FD "fdtable" "fd" true;
    FS_ROOT "fs_struct" "root" true;
    FS_PWD "fs_struct" "pwd" true;
    PATH_MNT "path" "mnt" true;
    PATH_DENTRY "path" "dentry" true;
    FILE_PATH "file" "f_path" true;
    FILE_INODE "file" "f_inode" true;
    FILE_MODE "file" "f_mode" true;
    FILE_FLAGS "file" "f_flags" true;
    DENTRY_PARENT "dentry" "d_parent" true;
    DENTRY_NAME "dentry" "d_name.name" true;
    DENTRY_LEN "dentry" "d_name.len" true;
    MOUNT_PARENT "mount" "mnt_parent" true;
    MOUNT_POINT "mount" "mnt_mountpoint" true;
    MOUNT_MNT "mount" "mnt" true;
    MNT_ROOT "vfsmount" "mnt_root" true;
    INODE_MODE "inode" "i_mode" true;
    INODE_SB "inode" "i_sb" true;
    INODE_INO "inode" "i_ino" true;
    INODE_NLINK "inode" "i_nlink" true;
    INODE_SIZE "inode" "i_size" true;
    // Separate seconds and nanoseconds since 6.11, one timespec64 before.
    INODE_MTIME_S "inode" "i_mtime_sec|__i_mtime.tv_sec|i_mtime.tv_sec" true;
    INODE_MTIME_NS "inode" "i_mtime_nsec|__i_mtime.tv_nsec|i_mtime.tv_nsec" true;
    INODE_CTIME_S "inode" "i_ctime_sec|__i_ctime.tv_sec|i_ctime.tv_sec" true;
    INODE_CTIME_NS "inode" "i_ctime_nsec|__i_ctime.tv_nsec|i_ctime.tv_nsec" true;
    SB_DEV "super_block" "s_dev" true;
    SB_MAGIC "super_block" "s_magic" true;
    // Overlay may be a module that is not loaded.
    OVL_INODE "ovl_inode" "vfs_inode" false;
    OVL_UPPER "ovl_inode" "__upperdentry" false;
    OVL_OE "ovl_inode" "oe" false;
    OE_LOWERS "ovl_entry" "__numlower|numlower" false;
    // Before 6.5 an overlay inode instead has a pointer to the inode of the uppermost lower layer.
    OVL_LOWER "ovl_inode" "lowerpath.dentry|lower" false;
    FILE_PRIVATE "file" "private_data" true;
    SOCKET_SK "socket" "sk" true;
    SK_FAMILY "sock_common" "skc_family" true;
    SK_STATE "sock_common" "skc_state" true;
    SK_DADDR "sock_common" "skc_daddr" true;
    SK_SADDR "sock_common" "skc_rcv_saddr" true;
    SK_DPORT "sock_common" "skc_dport" true;
    // IPv6 may be compiled out.
    SK_DADDR6 "sock_common" "skc_v6_daddr" false;
    SK_SADDR6 "sock_common" "skc_v6_rcv_saddr" false;
    SK_TYPE "sock" "sk_type" true;
    SK_PROTOCOL "sock" "sk_protocol" true;
    SK_ERR "sock" "sk_err" true;
    SK_FLAGS "sock_common" "skc_flags" true;
    INET_SPORT "inet_sock" "inet_sport" true;
    TCP_ACKED "tcp_sock" "bytes_acked" true;
    TCP_RECEIVED "tcp_sock" "bytes_received" true;
    TASK_PID "task_struct" "pid" true;
    TASK_TGID "task_struct" "tgid" true;
    TASK_LEADER "task_struct" "group_leader" true;
    TASK_PARENT "task_struct" "real_parent" true;
    TASK_THREAD_PID "task_struct" "thread_pid" true;
    TASK_MM "task_struct" "mm" true;
    TASK_SIGNAL "task_struct" "signal" true;
    TASK_EXIT_CODE "task_struct" "exit_code" true;
    TASK_START "task_struct" "start_boottime" true;
    PID_LEVEL "pid" "level" true;
    PID_NUMBERS "pid" "numbers" true;
    PID_NS_NUMBER "pid_namespace" "ns.inum" true;
    SIGNAL_LIVE "signal_struct" "live" true;
    SIGNAL_TTY "signal_struct" "tty" false;
    MM_ARG_START "mm_struct" "arg_start" true;
    MM_ARG_END "mm_struct" "arg_end" true;
    MM_EXE "mm_struct" "exe_file" true;
    VMA_FILE "vm_area_struct" "vm_file" true;
    VMA_FLAGS "vm_area_struct" "vm_flags" true;
    VMA_END "vm_area_struct" "vm_end" true;
    BPRM_FILENAME "linux_binprm" "filename" true;
    BPRM_INTERP "linux_binprm" "interp" true;
    CGROUP_KN "cgroup" "kn" true;
    CGROUP_ROOT "cgroup" "root" true;
    ROOT_HIERARCHY "cgroup_root" "hierarchy_id" true;
    KERNFS_ID "kernfs_node" "id" true;
    KERNFS_NAME "kernfs_node" "name" true;
    KERNFS_PARENT "kernfs_node" "__parent|parent" true;
    TASK_NSPROXY "task_struct" "nsproxy" true;
    NSPROXY_MNT "nsproxy" "mnt_ns" true;
    MNT_NS_NUMBER "mnt_namespace" "ns.inum" true;
    NSPROXY_CHILDREN "nsproxy" "pid_ns_for_children" true;
    // Unlike the number, it is never reused.
    MNT_NS_ID "mnt_namespace" "ns.ns_id|seq" false;
    TASK_COMM "task_struct" "comm" true;
    // Auditing may be compiled out.
    TASK_LOGIN "task_struct" "loginuid" false;
    TTY_NAME "tty_struct" "name" false;
    TASK_CGROUPS "task_struct" "cgroups" true;
    CSET_DEFAULT "css_set" "dfl_cgrp" true;
    // io_uring may be compiled out. A request's arguments are at its beginning.
    RING_OPCODE "io_kiocb" "opcode" false;
    RING_FLAGS "io_kiocb" "flags" false;
    RING_RESULT "io_kiocb" "cqe.res" false;
    RING_CONTEXT "io_kiocb" "ctx" false;
    // Nodes since 6.13, plain pointers with flags in the lowest bits before.
    RING_FILES "io_ring_ctx" "file_table.data.nodes|file_table.files" false;
    RING_NODE_FILE "io_rsrc_node" "file_ptr" false;
    FILENAME_NAME "filename" "name" false;
    RING_OPEN_DIR "io_open" "dfd" false;
    RING_OPEN_SLOT "io_open" "file_slot" false;
    RING_OPEN_NAME "io_open" "filename" false;
    RING_OPEN_FLAGS "io_open" "how.flags" false;
    RING_OPEN_MODE "io_open" "how.mode" false;
    RING_UNLINK_DIR "io_unlink" "dfd" false;
    RING_UNLINK_FLAGS "io_unlink" "flags" false;
    RING_UNLINK_NAME "io_unlink" "filename" false;
    RING_RENAME_DIR "io_rename" "old_dfd" false;
    RING_RENAME_DIR2 "io_rename" "new_dfd" false;
    RING_RENAME_NAME "io_rename" "oldpath" false;
    RING_RENAME_NAME2 "io_rename" "newpath" false;
    RING_MKDIR_DIR "io_mkdir" "dfd" false;
    RING_MKDIR_MODE "io_mkdir" "mode" false;
    RING_MKDIR_NAME "io_mkdir" "filename" false;
    RING_LINK_DIR "io_link" "old_dfd" false;
    RING_LINK_DIR2 "io_link" "new_dfd" false;
    RING_LINK_NAME "io_link" "oldpath" false;
    RING_LINK_NAME2 "io_link" "newpath" false;
    RING_XATTR_FILE "io_xattr" "filename" false;
    RING_XATTR_NAME "io_xattr" "ctx.kname" false;
    RING_XATTR_VALUE "io_xattr" "ctx.kvalue" false;
    RING_XATTR_SIZE "io_xattr" "ctx.size" false;
    RING_SOCKET_FAMILY "io_socket" "domain" false;
    RING_SOCKET_TYPE "io_socket" "type" false;
    RING_SOCKET_PROTOCOL "io_socket" "protocol" false;
    RING_CONNECT_ADDRESS "io_connect" "addr" false;
    RING_CONNECT_LENGTH "io_connect" "addr_len" false;
    RING_ACCEPT_SLOT "io_accept" "file_slot" false;
}
