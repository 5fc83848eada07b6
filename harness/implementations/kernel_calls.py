# SPDX-License-Identifier: MIT
"""What functions of the kernel do to memory, as far as the analysis of paths needs it."""

from __future__ import annotations

import re

__all__ = ["FREES", "Effect", "effect_of"]

FREES = {
    "kfree": 0,
    "kvfree": 0,
    "vfree": 0,
    "kfree_const": 0,
    "kfree_sensitive": 0,
    "kvfree_sensitive": 0,
    "kvfree_atomic": 0,
    "vfree_atomic": 0,
    "kmem_cache_free": 1,
    "devm_kfree": 1,
    "kvfree_call_rcu": 1,
}
"""Functions that free memory, with the number of the argument that points to it."""

_ALLOCATES = re.compile(
    r"_*(devm_)?(k|kv|v)(m|z|c)?alloc\w*|k(v?mem|str)n?dup\w*|kmem_cache_\w*alloc\w*|kasprintf"
)
_WRITES_ARGUMENTS = re.compile(
    r"(_?kstrto\w*|hex2bin|bin2hex|guid_parse|uuid_parse|sscanf|strscpy\w*|sized_strscpy|v?sc?nprintf"
    r"|get_random_bytes\w*|_*copy_from_user|import_guid|str(n?cpy|lcat|sep)|_*init_waitqueue_head"
    r"|__mutex_init|__init_rwsem|__raw_spin_lock_init|init_completion|raw_copy_\w+|ktime_get\w*)"
)
_HARMLESS = re.compile(
    r"(_*(raw_)?(mutex|down|up|spin|read|write|rcu_read|srcu_read|rtmutex|percpu_(down|up)|seqcount|"
    r"rwsem)_\w+|down|up|_raw_\w+|lockdep_\w+|lock_(is_held|acquire|release)\w*"
    r"|_*might_\w+|_*cond_resched\w*|schedule|msleep|u(sleep_range|delay)\w*|_?printk\w*|_dev_\w+"
    r"|dev_printk\w*|_*warn\w*|dump_stack|sysfs_emit\w*|seq_\w+|(mem|str)(n?cmp|n?case\w*|r?n?chr|n?len"
    r"|spn|cspn|str|chr_inv)\w*|_*sysfs_\w*streq|__?(sysfs_)?match_string|capable|ns_capable"
    r"|memory_read_from_buffer|simple_read_from_buffer|_*copy_to_\w+|_*check_object_size"
    r"|__builtin_\S+|debug_\w+|kasan_\w+|kcsan_\w+|kmsan_\w+|__(k[ac]san|kmsan|asan|tsan|ubsan|sanitizer)_\w+"
    r"|instrument_\w+|rcu_\w*held\w*|__rcu_read_\w+|preempt_\w+|_*local_(bh|irq)_\w+|wake_up_var)"
)
_WAKES = re.compile(r"__wake_up\w*|complete(_all)?|swake_up\w*")
_COPIES = {"memcpy", "memmove", "__builtin_memcpy", "__builtin_memmove", "__memcpy", "__memmove"}
_SETS = {"memset", "__builtin_memset", "__memset", "memzero_explicit"}

Effect = str
"""One of free, allocate, copy, set, write (what its arguments point to), wake, none, unknown."""


def effect_of(name: str) -> Effect:
    """What the function ``name`` of the kernel does to the memory of its caller."""
    if name in FREES:
        return "free"
    if name in _COPIES:
        return "copy"
    if name in _SETS:
        return "set"
    if _ALLOCATES.fullmatch(name):
        return "allocate"
    for effect, names in (("write", _WRITES_ARGUMENTS), ("wake", _WAKES)):
        if names.fullmatch(name):
            return effect
    return "none" if _HARMLESS.fullmatch(name) else "unknown"
