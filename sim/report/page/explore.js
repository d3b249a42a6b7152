// What if: sliders that ask the server of this page, and the answer beside the scenario as it is. Only on a page that
// `specmoe explore` serves, whose data say in `live` what may be changed (sim/explore/offer.hpp).
'use strict';

const DEBOUNCE_MS = 300;
const GIB = 2 ** 30;
const gib = (bytes) => `${plain(bytes / GIB, 4)} GiB`;
const inSentence = (name) => /^[A-Z][a-z]/.test(name) ? name[0].toLowerCase() + name.slice(1) : name;
const ratioWords = (factor) => `x${plain(factor, 3)}`;

/**
 * A slider over a list of values.
 * @param text (value) => what is chosen, with its unit; ownText () => likewise, of the scenario's own value
 */
class Slider {
  constructor({id, name, values, own, text, ownText = () => text(this.own), changed}) {
    Object.assign(this, {name, text, ownText});
    this.input = element('input', {
      type: 'range',
      id,
      step: 1,
      min: 0,
      oninput: () => {
        this.show();
        changed();
      }
    });
    this.output = element('output', {for: id
    });
    this.root = element('div', {class: 'slider'}, element('label', {for: id
                        }, name), this.output, this.input);
    this.fill(values, own);
  }

  get value() { return this.values[this.input.value]; }
  get isOwn() { return this.value === this.own; }

  show() {
    this.output.textContent = this.isOwn ? `${this.text(this.value)}, as it is` : this.text(this.value);
    this.input.setAttribute('aria-valuetext', this.output.textContent);
  }

  /** @param at the value to stand at */
  fill(values, own, at = own) {
    this.values = [...new Set([...values, own, at])].sort((a, b) => a - b);
    this.own = own;
    this.input.max = this.values.length - 1;
    this.input.value = this.values.indexOf(at);
    this.show();
  }

  reset() {
    this.input.value = this.values.indexOf(this.own);
    this.show();
  }
}

const plainNumber = (value) => Number(value.toFixed(4));
const steps = (low, high, step) =>
    Array.from({length: Math.round((high - low) / step) + 1}, (_, i) => plainNumber(low + i * step));

const MEMORIES = [8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 128, 141, 192, 288].map((size) => size * GIB);
const SHARES = steps(1, 100, 1);

/** The sliders and the platform. @return {root, edits: () => [{path, value}], words: () => what differs, answered} */
function exploreControls(live, changed) {
  const own = live.platforms[0];
  // Of all experts, what the cache holds: in the scenario as it is, and as it was last asked.
  let platform = own, ownShare = null, lastShare = null;
  const ofExperts = (share) =>
      share === null ? 'the scenario\'s' : `${quantity('share', share)} of all experts`;
  const make = (options) => new Slider({...options, changed});
  const link = make({
    id: 'explore-link',
    name: 'Link bandwidth',
    own: 1,
    values: steps(-2, 3, 0.25).map((power) => 2 ** power),
    text: (factor) => `${quantity('byterate', platform.bandwidth * factor)} (${
        platform.links.join(', ') || 'no link'} ${ratioWords(factor)})`,
  });
  const memory =
      make({id: 'explore-memory', name: 'GPU memory', own: platform.capacity, values: MEMORIES, text: gib});
  const cache = make({
    id: 'explore-cache',
    name: 'Expert cache',
    own: 0,
    values: SHARES,
    ownText: () => ofExperts(ownShare),
    text: (percent) => ofExperts(percent === (ownShare ?? 0) * 100 ? lastShare : percent / 100),
  });
  const accuracy = live.accuracy_paths.length ? make({
    id: 'explore-accuracy',
    name: 'Predictor accuracy',
    own: live.accuracy ?? -1,
    values: steps(0, 1, 0.02),
    text: (share) => share < 0 ? 'the scenario\'s list' : quantity('share', share, 4),
  }) :
                                                null;
  const batch = make({
    id: 'explore-batch',
    name: 'Batch',
    own: live.batch,
    values: [1, 2, 4, 8, 16, 32, 64, 128],
    text: (size) => size === 1 ? '1 request' : `${size} requests`,
  });
  const sliders = [link, memory, cache, accuracy, batch].filter(Boolean);
  const select = element(
      'select', {
        id: 'explore-platform',
        onchange: () => {
          choose(select.selectedIndex);
          changed();
        }
      },
      ...live.platforms.map(({name}, i) => element('option', {value: name}, i ? name : `${name}, as it is`)));
  const choose = (index) => {
    platform = live.platforms[index];
    select.selectedIndex = index;
    memory.fill(MEMORIES, platform.capacity);
    link.show();
  };
  const reset = () => {
    choose(0);
    sliders.forEach((each) => each.reset());
    changed();
  };

  const edits = () => {
    const to = (paths, value) => paths.map((path) => ({path, value: String(value)}));
    const all = [];
    if (platform !== own) all.push(...to(['platform'], platform.name));
    if (!link.isOwn) all.push(...to(platform.link_paths, `x${plainNumber(link.value)}`));
    if (!memory.isOwn) all.push(...to([platform.memory_path], `${memory.value} B`));
    if (!cache.isOwn) all.push(...to(live.cache_paths, `${cache.value} %`));
    if (accuracy && !accuracy.isOwn) all.push(...to(live.accuracy_paths, accuracy.value));
    if (!batch.isOwn)
      all.push(
          ...to(['workload.batch'], batch.value),
          ...to(['workload.requests'], Math.max(live.requests, batch.value)));
    return all;
  };
  const words = () => {
    const parts =
        sliders.filter(({isOwn}) => !isOwn)
            .map((each) => `${inSentence(each.name)} ${each.ownText()} -> ${each.text(each.value)}`);
    if (platform !== own) parts.unshift(`platform ${own.name} -> ${platform.name}`);
    if (batch.value > live.requests) parts.push(`requests ${live.requests} -> ${batch.value}`);
    return parts.join('; ');
  };
  const answered = ({base, changed: point}) => {
    const moved = cache.isOwn ? undefined : cache.value;
    ownShare = base.capacity_share;
    lastShare = (point ?? base).capacity_share;
    cache.fill(SHARES, (ownShare ?? 0) * 100, moved);
  };
  const root = element(
      'div', {class: 'controls', role: 'group', 'aria-label': 'What to change'},
      element(
          'div', {class: 'slider'},
          element(
              'label',
              {for: 'explore-platform'
              },
              'Platform'),
          select),
      ...sliders.map((each) => each.root),
      element('button', {type: 'button', id: 'explore-reset', onclick: reset}, 'Everything as it is'));
  return {root, edits, words, answered};
}

const EXPLORE_METRICS = ['tokens_per_second', 'tpot', 'ttft', 'energy_per_token'];

/** Bars of a metric: the scenario as it is, and changed. @param answer {base, changed} as specmoe whatif --format json */
function exploreBars(answer, metric) {
  const {name, kind} = METRICS[metric];
  if (!answer.base) return 'Nothing is simulated yet.';
  const sides = [
    ['as it is', answer.base, faint(inkOf('ink'), 0.35)], ['changed', answer.changed, hue(1)]
  ].filter(([, point]) => point);
  const strategies = answer.base.strategies.map(({strategy}) => strategy);
  const valueOf = (point, strategy) => point?.strategies.find((row) => row.strategy === strategy)?.[metric];
  return {
    type: 'bar',
    across: true,
    height: 90 + 44 * strategies.length,
    x: {title: name, kind},
    y: {category: strategies},
    datasets: sides.map(([label, point, colour]) => ({
                          label,
                          backgroundColor: colour,
                          maxBarThickness: 18,
                          data: strategies
                                    .map((strategy) => ({
                                           x: valueOf(point, strategy),
                                           y: strategy,
                                           title: strategy,
                                           text: `${label}: ${quantity(kind, valueOf(point, strategy))}`
                                         }))
                                    .filter(({x}) => isNumber(x)),
                        })),
    legend: sides.map(([label, , colour]) => ({name: label, colour})),
    table: {
      columns: [
        {name: 'Strategy'}, {name: 'as it is', kind}, {name: 'changed', kind},
        {name: 'changed over as it is', kind: 'ratio'}
      ],
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
  const ran = (rows) => rows.filter(({tokens_per_second: speed}) => isNumber(speed))
                            .sort((a, b) => b.tokens_per_second - a.tokens_per_second);
  const best = ran(point.strategies)[0], before = ran(answer.base.strategies)[0];
  const speed = (row) => `${row.strategy} with ${quantity('rate', row.tokens_per_second)}`;
  const change = (from, to) => ` (${to < from ? '' : '+'}${plain((to / from - 1) * 100, 3)} %)`;
  const first = !best            ? 'No strategy can run.' :
      !answer.changed || !before ? `Fastest: ${speed(best)}.` :
                                   `Fastest: ${speed(best)}; as it is, ${speed(before)}${
                                       change(before.tokens_per_second, best.tokens_per_second)}.`;
  const lines = point.strategies.filter(({refused}) => !refused).map((row) => {
    const was = answer.changed && answer.base.strategies.find(({strategy}) => strategy === row.strategy);
    const both = (name, kind, from, to) => was && isNumber(from) ?
        `${name} ${quantity(kind, from)} -> ${quantity(kind, to)}` :
        `${name} ${quantity(kind, to)}`;
    return `${row.strategy}: ${both('TPOT', 'time', was?.tpot, row.tpot)}${
        was && isNumber(was.tpot) ? change(was.tpot, row.tpot) :
                                    ''}, ${both('hit rate', 'share', was?.hit_rate, row.hit_rate)}`;
  });
  return [
    element('p', {class: 'answer'}, strong(asked ? `Changed: ${asked}. ` : 'As it is. '), first),
    element('ul', {}, ...lines.map((line) => element('li', {}, line)))
  ];
}

/** The strategies of a point that cannot run, and why; empty of none. */
const refusals =
    (point) => [...groupBy(point.strategies.filter(({refused}) => refused), ({refused}) => refused)]
                   .map(
                       ([why, rows]) => `${rows.map(({strategy}) => strategy).join(', ')} cannot run: ${why}`)
                   .join('. ');

const exploreSection = {
  id: 'explore',
  title: 'What if',
  short: 'What if',
  missing: () => '',
  build(parent) {
    const {live} = model.page, token = new URLSearchParams(location.search).get('token');
    const state = {answer: {base: null, changed: null}};
    const busy = element('p', {class: 'busy', role: 'status', hidden: true});
    const problem = element('p', {class: 'problem', role: 'alert', hidden: true});
    const text = element('div', {class: 'overview', 'aria-live': 'polite'});
    let timer, clock, running = false, again = false;
    const redraw = () =>
        figures.filter(({id}) => id.startsWith('explore-')).forEach((figure) => figure.update());

    const ask = async () => {
      // One question at a time; the last one that came meanwhile follows.
      if (running) {
        again = true;
        return;
      }
      running = true;
      again = false;
      const asked = controls.words(), since = Date.now();
      const tick = () => {
        busy.textContent = `Simulating, ${Math.round((Date.now() - since) / 1000)} s`;
      };
      tick();
      clock = setInterval(tick, 1000);
      busy.hidden = false;
      parent.setAttribute('aria-busy', 'true');
      try {
        const response = await fetch('/ask', {
          method: 'POST',
          headers: {'Content-Type': 'application/json', 'X-SpecMoE-Token': token},
          body: JSON.stringify({edits: controls.edits()}),
        });
        const answer = await response.json();
        if (!response.ok) throw new Error(answer.error);
        state.answer = answer;
        problem.textContent = refusals(answer.changed ?? answer.base);
        problem.hidden = !problem.textContent;
        controls.answered(answer);
        text.replaceChildren(...exploreWords(answer, asked));
      } catch (error) {
        state.answer = {base: state.answer.base, changed: null};
        const why = error instanceof TypeError ? 'specmoe explore does not answer; is it still running?' :
                                                 error.message;
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
    const charts = element('div', {class: 'figures explore'});
    parent.append(element('div', {class: 'explore'}, controls.root, busy, problem, text), charts);
    new Figure(charts, {
      id: 'explore-speed',
      title: 'Strategies, as they are and changed',
      content: ({metric}) => exploreBars(state.answer, metric),
      choices: [{
        name: 'metric',
        label: 'Show',
        options: () => EXPLORE_METRICS.map((metric) => [metric, METRICS[metric].name])
      }],
    });
    new Figure(
        charts,
        {id: 'explore-hits', title: 'Hit rate', content: () => exploreBars(state.answer, 'hit_rate')});
    ask();
  },
};
