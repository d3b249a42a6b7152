// What if: sliders that ask the server of this page, and the answer beside the scenario as it is. Only on a page that
// `specmoe explore` serves, whose data say in `live` what may be changed (sim/explore/offer.hpp).
'use strict';

const DEBOUNCE_MS = 300;
const GIB = 2 ** 30;
const gib = (bytes) => `${plain(bytes / GIB, 4)} GiB`;
const ratioWords = (factor) => `x${plain(factor, 3)}`;
// Sorted, each once, with what the scenario has among them.
const withOwn = (values, own) => [...new Set([...values, own])].sort((a, b) => a - b);

/**
 * A slider over a list of values. @return {root, value: () => value, isOwn, set(values, own)}
 * @param text (value) => what is chosen, with its unit
 */
function slider({id, name, values, own, text, changed}) {
  const input = element('input', {type: 'range', id, step: 1, min: 0, oninput: () => { show(); changed(); }});
  const output = element('output', {for: id});
  let all, first;
  const show = () => {
    const value = all[input.value];
    output.textContent = value === first ? `${text(value)}, as it is` : text(value);
    input.setAttribute('aria-valuetext', output.textContent);
  };
  const set = (list, ownValue) => {
    all = list;
    first = ownValue;
    input.max = all.length - 1;
    input.value = all.indexOf(first);
    show();
  };
  set(values, own);
  return {
    root: element('div', {class: 'slider'}, element('label', {for: id}, name), output, input),
    value: () => all[input.value], isOwn: () => all[input.value] === first, set, show,
    text: () => text(all[input.value]), ownText: () => text(first), name,
  };
}

const steps = (low, high, step) => Array.from({length: Math.round((high - low) / step) + 1}, (_, i) => plainNumber(low + i * step));
const plainNumber = (value) => Number(value.toFixed(4));

/** The sliders and the platform. @return {root, edits: () => [{path, value}], words: () => what differs} */
function exploreControls(live, changed) {
  const own = live.platforms[0];
  let platform = own, capacityShare = null;
  const link = slider({
    id: 'explore-link', name: 'Link bandwidth', own: 1, values: steps(-2, 3, 0.25).map((power) => 2 ** power), changed,
    text: (factor) => `${quantity('byterate', platform.bandwidth * factor)} (${platform.links.join(', ') || 'no link'} ${ratioWords(factor)})`,
  });
  const memories = () => withOwn([8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 128, 141, 192, 288].map((size) => size * GIB), platform.capacity);
  const memory = slider({id: 'explore-memory', name: 'GPU memory', own: platform.capacity, values: memories(), text: gib, changed});
  // 0 stands for the scenario's own capacity, which may be no share.
  const cache = slider({
    id: 'explore-cache', name: 'Expert cache', own: 0, values: steps(0, 100, 1), changed,
    text: (share) => share ? `${share} % of all experts` : capacityShare === null ? 'the scenario\'s' : `${quantity('share', capacityShare)} of all experts`,
  });
  const accuracy = live.accuracy_paths.length ? slider({
    id: 'explore-accuracy', name: 'Predictor accuracy', own: live.accuracy ?? -1, values: withOwn(steps(0, 1, 0.02), live.accuracy ?? -1), changed,
    text: (share) => share < 0 ? 'the scenario\'s list' : quantity('share', share, 4),
  }) : null;
  const batch = slider({
    id: 'explore-batch', name: 'Batch', own: live.batch, values: withOwn([1, 2, 4, 8, 16, 32, 64, 128], live.batch), changed,
    text: (size) => size === 1 ? '1 request' : `${size} requests`,
  });
  const sliders = [link, memory, cache, accuracy, batch].filter(Boolean);
  const select = element('select', {
    id: 'explore-platform', onchange: () => {
      platform = live.platforms[select.selectedIndex];
      memory.set(memories(), platform.capacity);
      link.show();
      changed();
    },
  }, ...live.platforms.map(({name}, i) => element('option', {value: name}, i ? name : `${name}, as it is`)));
  const reset = element('button', {
    type: 'button', onclick: () => {
      select.selectedIndex = 0;
      platform = own;
      memory.set(memories(), platform.capacity);
      link.set(steps(-2, 3, 0.25).map((power) => 2 ** power), 1);
      cache.set(steps(0, 100, 1), 0);
      accuracy?.set(withOwn(steps(0, 1, 0.02), live.accuracy ?? -1), live.accuracy ?? -1);
      batch.set(withOwn([1, 2, 4, 8, 16, 32, 64, 128], live.batch), live.batch);
      changed();
    },
  }, 'Everything as it is');

  const edits = () => {
    const to = (paths, value) => paths.map((path) => ({path, value: String(value)}));
    const all = [];
    if (platform !== own) all.push(...to(['platform'], platform.name));
    if (!link.isOwn()) all.push(...to(platform.link_paths, `x${plainNumber(link.value())}`));
    if (!memory.isOwn()) all.push(...to([platform.memory_path], `${memory.value()} B`));
    if (!cache.isOwn()) all.push(...to(live.cache_paths, `${cache.value()} %`));
    if (accuracy && !accuracy.isOwn()) all.push(...to(live.accuracy_paths, accuracy.value()));
    if (!batch.isOwn()) all.push(...to(['workload.batch'], batch.value()), ...to(['workload.requests'], Math.max(live.requests, batch.value())));
    return all;
  };
  const words = () => {
    const parts = sliders.filter((each) => !each.isOwn()).map((each) => `${each.name.toLowerCase()} ${each.ownText()} -> ${each.text()}`);
    if (platform !== own) parts.unshift(`platform ${own.name} -> ${platform.name}`);
    if (batch.value() > live.requests) parts.push(`requests ${live.requests} -> ${batch.value()}`);
    return parts.join('; ');
  };
  const root = element('div', {class: 'controls', role: 'group', 'aria-label': 'What to change'},
    element('div', {class: 'slider'}, element('label', {for: 'explore-platform'}, 'Platform'), select),
    ...sliders.map((each) => each.root), reset);
  return {root, edits, words, baseIs: (share) => { capacityShare = share; cache.show(); }};
}

const EXPLORE_METRICS = ['tokens_per_second', 'tpot', 'ttft', 'energy_per_token'];

/** Bars of a metric: the scenario as it is, and changed. @param answer {base, changed} as specmoe whatif --format json */
function exploreBars(answer, metric) {
  const {name, kind} = METRICS[metric];
  if (!answer.base) return 'Nothing is simulated yet.';
  const sides = [['as it is', answer.base, faint(inkOf('ink').padEnd(7, '0'), 0.35)], ['changed', answer.changed, hue(1)]].filter(([, point]) => point);
  const strategies = answer.base.strategies.map(({strategy}) => strategy);
  const valueOf = (point, strategy) => point?.strategies.find((row) => row.strategy === strategy)?.[metric];
  return {
    type: 'bar', across: true, height: 90 + 44 * strategies.length, x: {title: name, kind}, y: {category: strategies},
    datasets: sides.map(([label, point, colour]) => ({
      label, backgroundColor: colour, maxBarThickness: 18,
      data: strategies.map((strategy) => ({x: valueOf(point, strategy), y: strategy, title: strategy, text: `${label}: ${quantity(kind, valueOf(point, strategy))}`}))
        .filter(({x}) => isNumber(x)),
    })),
    legend: sides.map(([label, , colour]) => ({name: label, colour})),
    table: {
      columns: [{name: 'Strategy'}, {name: 'as it is', kind}, {name: 'changed', kind}, {name: 'changed over as it is', kind: 'ratio'}],
      rows: strategies.map((strategy) => {
        const [was, is] = [answer.base, answer.changed].map((point) => valueOf(point, strategy));
        return [strategy, was, is, is / was];
      }),
    },
  };
}

/** What an answer says, a line a strategy. */
function exploreWords(answer, asked) {
  const point = answer.changed ?? answer.base;
  const ran = (rows) => rows.filter(({tokens_per_second: speed}) => isNumber(speed)).sort((a, b) => b.tokens_per_second - a.tokens_per_second);
  const best = ran(point.strategies)[0], before = ran(answer.base.strategies)[0];
  const speed = (row) => `${row.strategy} with ${quantity('rate', row.tokens_per_second)}`;
  const change = (from, to) => ` (${to < from ? '' : '+'}${plain((to / from - 1) * 100, 3)} %)`;
  const first = !best ? 'No strategy can run.' : !answer.changed || !before ? `Fastest: ${speed(best)}.`
    : `Fastest: ${speed(best)}; as it is, ${speed(before)}${change(before.tokens_per_second, best.tokens_per_second)}.`;
  const lines = point.strategies.map((row) => {
    if (row.refused) return `${row.strategy} cannot run: ${row.refused}`;
    const was = answer.changed && answer.base.strategies.find(({strategy}) => strategy === row.strategy);
    const both = (name, kind, from, to) => was && isNumber(from)
      ? `${name} ${quantity(kind, from)} -> ${quantity(kind, to)}` : `${name} ${quantity(kind, to)}`;
    return `${row.strategy}: ${both('TPOT', 'time', was?.tpot, row.tpot)}${was && isNumber(was.tpot) ? change(was.tpot, row.tpot) : ''}, ${both('hit rate', 'share', was?.hit_rate, row.hit_rate)}`;
  });
  return [element('p', {class: 'answer'}, strong(asked ? `Changed: ${asked}. ` : 'As it is. '), first),
    element('ul', {}, ...lines.map((line) => element('li', {}, line)))];
}

const exploreSection = {
  id: 'explore', title: 'What if', short: 'What if', missing: () => '',
  build(parent) {
    const {live} = model.page, token = new URLSearchParams(location.search).get('token');
    const state = {answer: {base: null, changed: null}};
    const busy = element('p', {class: 'busy', role: 'status', hidden: true});
    const problem = element('p', {class: 'problem', role: 'alert', hidden: true});
    const text = element('div', {class: 'overview', 'aria-live': 'polite'});
    let timer, clock, running = false, again = false;
    const redraw = () => figures.filter(({id}) => id.startsWith('explore-')).forEach((figure) => figure.update());

    const ask = async () => {
      // One question at a time; the last one that came meanwhile follows.
      if (running) { again = true; return; }
      running = true;
      again = false;
      const asked = controls.words(), since = Date.now();
      const tick = () => { busy.textContent = `Simulating, ${Math.round((Date.now() - since) / 1000)} s`; };
      tick();
      clock = setInterval(tick, 1000);
      busy.hidden = false;
      parent.setAttribute('aria-busy', 'true');
      try {
        const response = await fetch('/ask', {
          method: 'POST', headers: {'Content-Type': 'application/json', 'X-SpecMoE-Token': token}, body: JSON.stringify({edits: controls.edits()}),
        });
        const answer = await response.json();
        if (!response.ok) throw new Error(answer.error);
        state.answer = answer;
        problem.hidden = true;
        controls.baseIs(answer.base.capacity_share);
        text.replaceChildren(...exploreWords(answer, asked));
      } catch (error) {
        state.answer = {base: state.answer.base, changed: null};
        const why = error instanceof TypeError ? 'specmoe explore does not answer; is it still running?' : error.message;
        problem.textContent = asked ? `Cannot run (${asked}): ${why}` : why;
        problem.hidden = false;
        text.replaceChildren();
      }
      clearInterval(clock);
      busy.hidden = true;
      parent.removeAttribute('aria-busy');
      redraw();
      running = false;
      if (again) ask();
    };
    const controls = exploreControls(live, () => {
      clearTimeout(timer);
      timer = setTimeout(ask, DEBOUNCE_MS);
    });
    parent.append(element('div', {class: 'explore'}, controls.root, busy, problem, text));
    new Figure(parent, {
      id: 'explore-speed', title: 'Strategies, as they are and changed', content: ({metric}) => exploreBars(state.answer, metric),
      choices: [{name: 'metric', label: 'Show', options: () => EXPLORE_METRICS.map((metric) => [metric, METRICS[metric].name])}],
    });
    new Figure(parent, {id: 'explore-hits', title: 'Hit rate', content: () => exploreBars(state.answer, 'hit_rate')});
    ask();
  },
};
