// Colours: light and dark, and one for each strategy, the same in every chart.
'use strict';

// Okabe and Ito's colours, distinguishable with colour blindness; the first is the page's own ink, and yellow, which
// white swallows, comes last.
const HUES = ['', '#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#b8a800'];
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3]];
const SHAPES = ['circle', 'rect', 'triangle', 'rectRot', 'star', 'cross'];

const inkOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function hue(index) { return HUES[index % HUES.length] || inkOf('ink'); }

/** Colour, dash and point of a series; the dash changes when the colours have been used up. */
function styleOf(index) {
  return {
    colour: hue(index),
    dash: DASHES[Math.floor(index / HUES.length) % DASHES.length],
    shape: SHAPES[(index + Math.floor(index / HUES.length)) % SHAPES.length],
  };
}

const styleOfStrategy = (name) => styleOf(model.strategies.indexOf(name));

/** A hue that lets the ground shine through. */
const faint = (colour, share) => {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${share})`;
};

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
};

/** Calls `changed` whenever the colours do: by the button, the system, or for paper, which is light. */
function watchTheme(button, changed) {
  const show = () => {
    button.textContent = isDark() ? 'Light' : 'Dark';
    button.setAttribute('aria-label', `Change to ${isDark() ? 'light' : 'dark'} colours`);
    changed();
  };
  const choose = (theme) => {
    if (theme)
      document.documentElement.dataset.theme = theme;
    else
      delete document.documentElement.dataset.theme;
    show();
  };
  button.addEventListener('click', () => choose(isDark() ? 'light' : 'dark'));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', show);
  let before;
  addEventListener('beforeprint', () => {
    before = document.documentElement.dataset.theme;
    choose('light');
  });
  addEventListener('afterprint', () => choose(before));
  show();
}
