//! A search by joint evaluations on common chips: from the greedy's assignments, step by step to cheaper ones that keep
//! the limit with all faults together.

use super::greedy::{cheapest, Losses};
use super::space::{rails_of, Levels, Space};
use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};

/// Numbers of rails that the greedy's best are taken of.
const STARTS: usize = 3;
/// By what the limit of the greedy is multiplied where its assignment loses too much with all faults together, or could
/// lose more; and how often at most.
const TIGHTEN: (f64, usize) = (0.7, 6);
const LOOSEN: (f64, usize) = (1.4, 3);
/// Moves whose predicted loss passes the limit by so much of it are still tried, after the others.
const SLACK: f64 = 0.25;
/// Less is no saving.
const LEAST_SAVING: f64 = 1e-9;

/// Gives the mean joint loss of an assignment on the search chips.
pub(super) type Joint<'a> = dyn FnMut(&Levels) -> Result<f64> + 'a;

/// An assignment that keeps the limit on the search chips.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) levels: Levels,
    /// Mean loss over the search chips with all faults together.
    pub(super) loss: f64,
}

/// One search: the space, what is known of it, and the joint evaluations that are left.
pub(super) struct Search<'a> {
    pub(super) space: &'a Space,
    pub(super) losses: &'a Losses,
    /// Most mean loss.
    pub(super) limit: f64,
    /// Joint evaluations left.
    pub(super) left: u32,
    pub(super) joint: &'a mut Joint<'a>,
    pub(super) known: BTreeMap<Levels, f64>,
}

impl Search<'_> {
    /// The cheapest assignment found; `start` is one known to keep the limit, where there is one.
    ///
    /// # Errors
    /// What an evaluation returns.
    pub(super) fn run(&mut self, start: Option<Found>) -> Result<Option<Found>> {
        let mut best = start;
        for place in 0..STARTS {
            let found = self.greedy(place)?;
            best = self.cheaper(best, found);
        }
        match best {
            Some(best) => Ok(Some(self.improved(best)?)),
            None => Ok(None),
        }
    }

    fn cheaper(&self, a: Option<Found>, b: Option<Found>) -> Option<Found> {
        let cost = |found: &Found| self.space.cost(&found.levels);
        match (a, b) {
            (Some(a), Some(b)) if cost(&b) < cost(&a) - LEAST_SAVING => Some(b),
            (None, b) => b,
            (a, _) => a,
        }
    }

    /// The joint loss; `None` where no evaluation is left.
    fn loss(&mut self, levels: &Levels) -> Result<Option<f64>> {
        if let Some(loss) = self.known.get(levels) {
            return Ok(Some(*loss));
        }
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let loss = (self.joint)(levels)?;
        self.known.insert(levels.clone(), loss);
        Ok(Some(loss))
    }

    /// The greedy's assignment at a place in its list, with a limit for the sum of losses such that the joint loss keeps
    /// ours: losses of domains need not add up.
    fn greedy(&mut self, place: usize) -> Result<Option<Found>> {
        let (space, losses, limit) = (self.space, self.losses, self.limit);
        let proposal = |scale: f64| {
            cheapest(space, losses, limit * scale)
                .into_iter()
                .nth(place)
        };
        let (mut scale, mut best) = (1.0, None);
        let Some(first) = proposal(scale) else {
            return Ok(None);
        };
        let Some(loss) = self.loss(&first.levels)? else {
            return Ok(None);
        };
        let (factor, most) = if loss <= limit { LOOSEN } else { TIGHTEN };
        if loss <= limit {
            best = Some(Found {
                levels: first.levels,
                loss,
            });
        }
        for _ in 0..most {
            scale *= factor;
            let Some(next) = proposal(scale) else { break };
            let Some(loss) = self.loss(&next.levels)? else {
                break;
            };
            let keeps = loss <= limit;
            let found = keeps.then_some(Found {
                levels: next.levels,
                loss,
            });
            best = self.cheaper(best, found);
            // loosened until it breaks, tightened until it holds
            if keeps == (factor < 1.0) {
                break;
            }
        }
        Ok(best)
    }

    /// First improvement over moves, the cheapest first, until none is left.
    fn improved(&mut self, mut best: Found) -> Result<Found> {
        'moved: loop {
            for levels in self.moves(&best) {
                let Some(loss) = self.loss(&levels)? else {
                    return Ok(best);
                };
                if loss <= self.limit {
                    best = Found { levels, loss };
                    continue 'moved;
                }
            }
            return Ok(best);
        }
    }

    /// Cheaper neighbours that are not known to lose too much, those predicted to keep the limit first, then by cost.
    fn moves(&self, from: &Found) -> Vec<Levels> {
        let cost = self.space.cost(&from.levels);
        let Some(sum) = self.losses.sum(&from.levels) else {
            return Vec::new();
        };
        let mut moves: Vec<(bool, f64, Levels)> = Vec::new();
        for levels in self.neighbours(&from.levels) {
            let own = self.space.cost(&levels);
            let Some(estimated) = self.losses.sum(&levels) else {
                continue;
            };
            let predicted = from.loss + estimated - sum;
            let allowed = self.space.rails(&levels) <= self.space.most_rails
                && own < cost - LEAST_SAVING
                && predicted <= self.limit * (1.0 + SLACK)
                && self
                    .known
                    .get(&levels)
                    .is_none_or(|loss| *loss <= self.limit);
            if allowed {
                moves.push((predicted > self.limit, own, levels));
            }
        }
        moves.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
        moves.into_iter().map(|(_, _, levels)| levels).collect()
    }

    /// One domain to the next level or to a rail in use; one lowered and another raised; a rail moved by a level or
    /// joined to another.
    fn neighbours(&self, levels: &Levels) -> BTreeSet<Levels> {
        let rails = rails_of(levels);
        let top = self.space.voltages.len() - 1;
        let targets = |level: usize| {
            let next = [
                level.checked_sub(1),
                Some(level + 1).filter(|level| *level <= top),
            ];
            let all: BTreeSet<usize> = next
                .into_iter()
                .flatten()
                .chain(rails.iter().copied())
                .collect();
            all.into_iter().filter(move |target| *target != level)
        };
        let with = |changes: &[(usize, usize)]| {
            let mut changed = levels.clone();
            changes
                .iter()
                .for_each(|(domain, level)| changed[*domain] = *level);
            changed
        };
        let mut all = BTreeSet::new();
        for (a, level) in levels.iter().enumerate() {
            for target in targets(*level) {
                all.insert(with(&[(a, target)]));
                for (b, other) in levels
                    .iter()
                    .enumerate()
                    .filter(|(b, _)| target < *level && *b != a)
                {
                    for raised in targets(*other).filter(|raised| raised > other) {
                        all.insert(with(&[(a, target), (b, raised)]));
                    }
                }
            }
        }
        for rail in &rails {
            for target in targets(*rail) {
                let moved = levels
                    .iter()
                    .map(|level| if level == rail { target } else { *level });
                all.insert(moved.collect());
            }
        }
        all.remove(levels);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{every_assignment, space, Additive};
    use super::*;

    #[test]
    fn the_optimum_of_a_small_case_is_found_where_losses_do_not_add_up() {
        let (mut optimal, mut cases) = (0, 0);
        for seed in 0..24 {
            let world = Additive::new(seed, 4, 5);
            for (most_rails, limit) in [(4, 0.01), (2, 0.015), (3, 0.03)] {
                let space = space(&world, 0.004, most_rails);
                let keeps = |levels: &Levels| {
                    space.rails(levels) <= most_rails && world.joint(levels) <= limit
                };
                let best = every_assignment(4, 5)
                    .into_iter()
                    .filter(keeps)
                    .map(|levels| space.cost(&levels))
                    .fold(f64::INFINITY, f64::min);
                let mut evaluated = 0;
                let mut joint = |levels: &Levels| {
                    evaluated += 1;
                    Ok(world.joint(levels))
                };
                let losses = world.losses();
                let mut search = Search {
                    space: &space,
                    losses: &losses,
                    limit,
                    left: 60,
                    joint: &mut joint,
                    known: BTreeMap::new(),
                };
                let found = search.run(None).unwrap().unwrap();
                assert!(keeps(&found.levels) && found.loss == world.joint(&found.levels));
                let cost = space.cost(&found.levels);
                assert!(cost >= best - 1e-12);
                assert!(cost <= 1.05 * best, "{seed} {limit}: {cost} {best}");
                assert!(evaluated <= 60);
                optimal += usize::from(cost <= best + 1e-9);
                cases += 1;
            }
        }
        // 625 assignments each, at most 60 looked at
        assert!(optimal * 10 >= cases * 8, "{optimal} of {cases}");
    }

    #[test]
    fn without_evaluations_nothing_is_found_and_a_start_is_kept() {
        let world = Additive::new(3, 4, 5);
        let (space, losses) = (space(&world, 0.0, 4), world.losses());
        let mut joint = |_: &Levels| panic!("no evaluation is left");
        let mut search = Search {
            space: &space,
            losses: &losses,
            limit: 0.01,
            left: 0,
            joint: &mut joint,
            known: BTreeMap::new(),
        };
        assert_eq!(search.run(None).unwrap(), None);
        let start = Found {
            levels: vec![4; 4],
            loss: 0.0,
        };
        assert_eq!(search.run(Some(start.clone())).unwrap(), Some(start));
    }
}
