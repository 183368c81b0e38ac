// SPDX-License-Identifier: MIT OR Apache-2.0
//! Walks a list that only grows without looking again at what is finished.

/// Remembers how much of a list was seen, and which of its entries may still change.
#[derive(Debug)]
pub(super) struct Unfinished<S> {
    next: usize,
    open: Vec<(usize, S)>,
}

impl<S> Default for Unfinished<S> {
    fn default() -> Self {
        Self {
            next: 0,
            open: Vec::new(),
        }
    }
}

impl<S> Unfinished<S> {
    /// Shows `visit` each entry that is new (with `None`) or may still change (with what was said of it last
    /// time). It answers what to remember, or `None` when the entry is finished and need not be seen again.
    pub(super) fn visit<T>(
        &mut self,
        items: &[T],
        mut visit: impl FnMut(&T, Option<S>) -> Option<S>,
    ) {
        let known = std::mem::take(&mut self.open);
        for (index, state) in known {
            if let Some(item) = items.get(index)
                && let Some(state) = visit(item, Some(state))
            {
                self.open.push((index, state));
            }
        }
        for (index, item) in items.iter().enumerate().skip(self.next) {
            if let Some(state) = visit(item, None) {
                self.open.push((index, state));
            }
        }
        self.next = self.next.max(items.len());
    }

    /// The entries that may still change.
    pub(super) fn open<'a, T>(&self, items: &'a [T]) -> impl Iterator<Item = &'a T> {
        self.open.iter().filter_map(|(index, _)| items.get(*index))
    }

    /// How many entries may still change.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_entries_are_never_shown_again() {
        let mut cursor = Unfinished::default();
        let mut items = vec![3, 0, 1];
        let mut shown = Vec::new();
        let mut look = |cursor: &mut Unfinished<i32>, items: &[i32]| {
            shown.clear();
            cursor.visit(items, |item, before| {
                shown.push((*item, before));
                (*item > 0).then_some(*item)
            });
            shown.clone()
        };
        assert_eq!(look(&mut cursor, &items), [(3, None), (0, None), (1, None)]);
        items[2] = 0;
        items.push(7);
        assert_eq!(
            look(&mut cursor, &items),
            [(3, Some(3)), (0, Some(1)), (7, None)]
        );
        assert_eq!(look(&mut cursor, &items), [(3, Some(3)), (7, Some(7))]);
        assert_eq!(cursor.open(&items).collect::<Vec<_>>(), [&3, &7]);
        assert_eq!(cursor.len(), 2);
    }
}
