//! Who a cgroup is: container runtimes, their facts, and what was there before.
