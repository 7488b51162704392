//! Memory that rules declare for themselves: one value of a type for each container.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::event::ContainerId;

/// Maximum number of containers; the oldest is dropped.
const MAX_CONTAINERS: usize = 4096;

/// A rule's memory of one container. It must be bounded, and cheap to clone.
pub(crate) trait RuleMemory: Any + Clone + Default + Debug + Send + Sync {
    /// Approximate size on the heap in bytes.
    fn heap_bytes(&self) -> usize;
}

/// A [`RuleMemory`] of any type.
trait Slot: Any + Debug + Send + Sync {
    fn boxed_clone(&self) -> Box<dyn Slot>;
    fn bytes(&self) -> usize;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<T: RuleMemory> Slot for T {
    fn boxed_clone(&self) -> Box<dyn Slot> {
        Box::new(self.clone())
    }
    fn bytes(&self) -> usize {
        size_of::<T>() + self.heap_bytes()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

#[derive(Debug, Default)]
struct Slots(Vec<Box<dyn Slot>>);

impl Clone for Slots {
    fn clone(&self) -> Self {
        // `**slot`: the type of the value, not of its box.
        Self(self.0.iter().map(|slot| (**slot).boxed_clone()).collect())
    }
}

/// The memories of all rules for all containers.
#[derive(Debug, Clone, Default)]
pub(crate) struct RuleMemoryTable {
    /// Shared with clones until they change.
    containers: FxHashMap<ContainerId, Arc<Slots>>,
    /// Order of arrival, for the bound.
    order: VecDeque<ContainerId>,
}

impl RuleMemoryTable {
    /// The memories of one container, for the handlers of one event.
    pub(super) fn of<'a>(&'a mut self, owner: &'a ContainerId) -> RuleMemories<'a> {
        RuleMemories { table: self, owner }
    }

    /// Forgets a container.
    pub(super) fn forget(&mut self, id: &ContainerId) {
        if self.containers.remove(id).is_some() {
            self.order.retain(|known| known != id);
        }
    }

    /// Forgets the containers that fail the test.
    pub(super) fn retain(&mut self, kept: impl Fn(&ContainerId) -> bool) {
        self.containers.retain(|id, _| kept(id));
        self.order.retain(kept);
    }

    /// Number of containers remembered.
    pub(super) fn len(&self) -> usize {
        self.containers.len()
    }

    /// Approximate size in bytes.
    pub(super) fn bytes(&self) -> usize {
        let slots = self.containers.values().flat_map(|slots| &slots.0);
        slots.map(|slot| (**slot).bytes() + 16).sum()
    }

    fn slots(&mut self, owner: &ContainerId) -> &mut Slots {
        if !self.containers.contains_key(owner) {
            if self.order.len() >= MAX_CONTAINERS
                && let Some(oldest) = self.order.pop_front()
            {
                self.containers.remove(&oldest);
            }
            self.order.push_back(owner.clone());
        }
        Arc::make_mut(self.containers.entry(owner.clone()).or_default())
    }
}

/// The memories of one container.
pub(crate) struct RuleMemories<'a> {
    table: &'a mut RuleMemoryTable,
    owner: &'a ContainerId,
}

impl RuleMemories<'_> {
    /// The memory of this type, created if missing.
    pub(crate) fn of<T: RuleMemory>(&mut self) -> &mut T {
        let slots = &mut self.table.slots(self.owner).0;
        let known = slots.iter().position(|slot| (**slot).as_any().is::<T>());
        let at = known.unwrap_or_else(|| {
            slots.push(Box::<T>::default());
            slots.len() - 1
        });
        match slots
            .get_mut(at)
            .and_then(|slot| (**slot).as_any_mut().downcast_mut())
        {
            Some(memory) => memory,
            None => unreachable!("the slot was found or pushed with this type"),
        }
    }

    /// The memory of this type, if there is one; creates nothing.
    #[must_use]
    pub(crate) fn get<T: RuleMemory>(&self) -> Option<&T> {
        let slots = &self.table.containers.get(self.owner)?.0;
        slots
            .iter()
            .find_map(|slot| (**slot).as_any().downcast_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Count(u32);
    impl RuleMemory for Count {
        fn heap_bytes(&self) -> usize {
            0
        }
    }
    #[derive(Debug, Clone, Default)]
    struct Names(Vec<String>);
    impl RuleMemory for Names {
        fn heap_bytes(&self) -> usize {
            self.0.len() * 32
        }
    }

    #[test]
    fn each_type_has_its_value_in_each_container_and_a_clone_keeps_its_own() {
        let (a, b) = (ContainerId::new("a"), ContainerId::new("b"));
        let mut table = RuleMemoryTable::default();
        table.of(&a).of::<Count>().0 = 1;
        table.of(&a).of::<Names>().0.push("x".to_owned());
        let before = table.clone();
        table.of(&a).of::<Count>().0 = 2;
        table.of(&b).of::<Count>().0 = 7;
        assert_eq!(table.of(&a).of::<Count>().0, 2);
        assert_eq!(table.of(&a).get::<Names>().map(|n| n.0.len()), Some(1));
        assert!(table.of(&b).get::<Names>().is_none());
        let mut before = before;
        assert_eq!(before.of(&a).of::<Count>().0, 1);
        assert_eq!(before.len(), 1);
    }

    #[test]
    fn containers_are_bounded_and_forgotten() {
        let mut table = RuleMemoryTable::default();
        for n in 0..MAX_CONTAINERS + 10 {
            table.of(&ContainerId::new(&n.to_string())).of::<Count>().0 = 1;
        }
        assert_eq!(
            (table.len(), table.order.len()),
            (MAX_CONTAINERS, MAX_CONTAINERS)
        );
        let last = ContainerId::new(&(MAX_CONTAINERS + 9).to_string());
        table.forget(&last);
        assert!(table.of(&last).get::<Count>().is_none());
        table.retain(|_| false);
        assert_eq!((table.len(), table.order.len(), table.bytes()), (0, 0, 0));
    }
}
