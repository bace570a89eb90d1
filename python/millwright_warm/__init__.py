"""An interpreter that stands ready with its modules loaded. Run by path; see docs/internals/warm_pools.md."""
