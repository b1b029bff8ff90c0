'use strict';
// What can be moved, computed in the page: the same steps as the lessons' Rust, small enough to read.

// The name of a language, not a place: nothing is fetched from it.
const SVG = 'http://www.w3.org/2000/svg';
const make = (tag, attributes = {}, ...children) => {
  const svg = ['svg', 'line', 'text', 'title'].includes(tag);
  const element = svg
    ? document.createElementNS(SVG, tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

// ---- mathematics

const softmax = scores => {
  const greatest = Math.max(...scores);
  const powers = scores.map(x => Math.exp(x - greatest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map(x => x / sum);
};

// The whole grid of distances between beginnings of a and b.
const grid = (a, b) => {
  const d = Array.from({ length: a.length + 1 }, (_, i) => [i]);
  for (let j = 0; j <= b.length; j++) d[0][j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      d[i][j] = Math.min(
        d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
  }
  return d;
};
const letters = word => Array.from(word);
const distance = (a, b) => {
  const [x, y] = [letters(a), letters(b)];
  return grid(x, y)[x.length][y.length];
};
const nearest = (word, keys) => {
  let best = { index: 0, distance: Infinity };
  keys.forEach((key, index) => {
    const found = distance(word, key);
    if (found < best.distance) best = { index, distance: found };
  });
  return best;
};

// ---- words

// The spelling that the translators know, as in translate/sentence.rs: small letters, one apostrophe
// and one hyphen, no punctuation, a cut after each apostrophe.
const wordsOf = text => text
  .replace(/[’‘‛ʼʹ′`´＇]/g, "'").replace(/[\u2010-\u2012\u2212\ufe63\uff0d]/g, '-')
  .replace(/[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, '').normalize('NFKC')
  .replace(/(?<!\d)[.!?]|[.!?](?!\d)/g, ' ').replace(/[,;:()[\]{}"«»‹›“”„‟–—―·•¿¡\p{Cc}]/gu, ' ')
  .split(/\s+/).flatMap(typed => {
    let word = typed.toLowerCase().replace(/^['-]+/, '');
    while (/['-]$/.test(word) && !/^(?:[cdjlmnst]|.*qu)'$/.test(word)) word = word.slice(0, -1);
    return (word.match(/[^']*'|[^']+/g) ?? []).map(piece => piece.replaceAll('oeu', 'œu').replace(/^oe/, 'œ'));
  });

// ---- tables

// Four digits, and no sign where they are all 0.
const shown = (x, digits) => x.toFixed(digits).replace(/^-(0\.0+)$/, '$1');

const heatTable = (caption, rows, columns, values, { winners = [], notes = [], digits = 4 } = {}) => {
  const greatest = Math.max(0, ...values.flat().map(Math.abs));
  const head = make('tr', {}, make('td'), ...columns.map(c => make('th', { scope: 'col' }, c)));
  const body = values.map((row, i) => make('tr', {},
    make('th', { scope: 'row' }, rows[i]),
    ...row.map((x, j) => {
      const heat = greatest > 0 ? Math.round(Math.abs(x) / greatest * 100) : 0;
      const cell = make('td', { style: `--h:${heat}%` }, shown(x, digits));
      if (x < 0) cell.classList.add('below');
      if (winners[i] === j) cell.classList.add('best');
      return cell;
    }),
    ...(notes[i] ? [make('td', { class: 'note' }, notes[i])] : [])));
  return make('div', { class: 'scroll' }, make('table', { class: 'matrix' },
    make('caption', {}, caption), make('thead', {}, head), make('tbody', {}, ...body)));
};

let fields = 0;
const labelled = (text, input) => {
  input.id = `field-${++fields}`;
  const value = make('b');
  return { label: make('label', { for: input.id }, text + ' ', value), input, value };
};
const slider = (text, min, max, step, value) =>
  labelled(text, make('input', { type: 'range', min, max, step, value }));

// ---- attention over a sentence

// Words that there is room for.
const MOST = 12;

// What would bring back the meaning of each word's nearest key, tried out.
const mending = (mends, s, t, greatest, lowest) => {
  const ways = [
    mends(s, lowest) ? 'a lower temperature' : '',
    mends(greatest, t) ? 'a greater scale' : '',
  ].filter(Boolean);
  if (ways.length > 0) return `Not what the keys mean: ${ways.join(' or ')} mends it.`;
  return mends(greatest, lowest)
    ? 'Not what the keys mean: a greater scale and a lower temperature together mend it.'
    : 'Not what the keys mean, and nothing that can be set here mends it.';
};

// Words that are no keys, each with the key that asks in its place.
const ofUnknown = (rows, keys) => {
  const taken = new Map(rows.map(({ word, found }) => [word, `${word} asks as ${keys[found.index]}, ` +
    `${found.distance} ${found.distance === 1 ? 'edit' : 'edits'} away`]));
  return taken.size > 0 ? `Not in the dictionary: ${[...taken.values()].join('; ')}.` : '';
};

const attention = (place, data) => {
  const keys = data.entries.map(([key]) => key);
  const meanings = [...new Set(data.entries.map(([, value]) => value))].sort();
  const text = labelled('Sentence', make('input', { type: 'text', value: data.text, spellcheck: 'false' }));
  // Temperatures from 0.05 to 10, by their logarithm.
  const temperature = slider('Temperature', -1.3, 1, 'any', 0);
  const scale = slider('Scale', 0, 2, 'any', data.scale);
  const [lowest, greatest] = [Number(temperature.input.min), Number(scale.input.max)];
  const formula = 1 / Math.sqrt(keys.length);
  const root = `1/√${keys.length}`;
  const buttons = make('p', {},
    ...[['scale 1', 1, 0], [`scale ${root}`, formula, 0], [`scale ${root}, temperature 0.3`, formula, Math.log10(0.3)]]
      .map(([name, s, t]) => {
        const button = make('button', { type: 'button' }, name);
        button.onclick = () => { scale.input.value = s; temperature.input.value = t; draw(); };
        return button;
      }));
  const answer = make('output', { 'aria-live': 'polite', for: `${text.input.id} ${temperature.input.id}` });
  const hint = make('p', { class: 'hint' });
  const picture = make('div', { class: 'scroll' });
  const numbers = make('div');
  let chosen = -1;

  const draw = () => {
    const typed = wordsOf(text.input.value), words = typed.slice(0, MOST);
    const t = 10 ** Number(temperature.input.value);
    const s = Number(scale.input.value);
    temperature.value.textContent = t.toFixed(2);
    scale.value.textContent = s.toFixed(3);
    if (words.length === 0) {
      answer.textContent = 'Write a sentence.';
      picture.replaceChildren(); numbers.replaceChildren(); hint.textContent = '';
      return;
    }
    // What every word becomes when its scores are multiplied by `factor`.
    const looked = factor => words.map(word => {
      const found = nearest(word, keys);
      const strength = data.strength ** found.distance;
      const scores = keys.map((_, i) => (i === found.index ? strength : 0));
      const weights = softmax(scores.map(x => x * factor));
      const mixed = meanings.map(meaning => data.entries
        .reduce((sum, [, value], i) => sum + (value === meaning ? weights[i] : 0), 0));
      let best = -1;
      mixed.forEach((x, j) => { if (x > (best < 0 ? 0 : mixed[best]) + 1e-12) best = j; });
      return { word, found, weights, mixed, best, meant: data.entries[found.index][1] };
    });
    const isRight = row => meanings[row.best] === row.meant;
    const mends = (s, t) => looked(s / t).every(isRight);
    const rows = looked(s / t);
    const said = rows.map(row => meanings[row.best] ?? '?');
    const broken = !rows.every(isRight);
    answer.textContent = said.join(' ');
    answer.classList.toggle('changed', broken);
    hint.textContent = [
      broken ? mending(mends, s, t, greatest, 10 ** lowest) : '',
      ofUnknown(rows.filter(row => row.found.distance > 0), keys),
      !broken && rows.every(row => row.found.distance === 0) ? 'As the dictionary has it.' : '',
      typed.length > MOST ? `Only the first ${MOST} of ${typed.length} words are shown.` : '',
      'Choose a word of the sentence to see its lines alone.',
    ].filter(Boolean).join(' ');
    if (chosen >= rows.length) chosen = -1;

    const columns = Math.max(words.length, keys.length);
    // As wide as there is room, so that words stay as large as the text around them.
    const gap = Math.max(50, Math.min(92, (place.clientWidth - 36) / columns));
    const height = 170, width = columns * gap;
    const x = (i, n) => (width - n * gap) / 2 + (i + 0.5) * gap;
    const svg = make('svg', { viewBox: `0 0 ${width} ${height}`, role: 'group', style: `max-width:${width}px;min-width:${width}px`,
      'aria-label': rows.map((row, i) => `${row.word} becomes ${said[i]}`).join(', ') });
    rows.forEach((row, i) => {
      if (chosen >= 0 && chosen !== i) return;
      // As dark as a share of the row's greatest, so that the way that wins is always seen.
      const greatest = Math.max(...row.weights);
      row.weights.forEach((w, j) => svg.append(make('line', {
        x1: x(i, words.length), y1: 28, x2: x(j, keys.length), y2: height - 44,
        'stroke-width': (0.5 + 7 * w).toFixed(2), 'stroke-opacity': (w / greatest).toFixed(3) })));
    });
    rows.forEach((row, i) => {
      const word = make('text', { x: x(i, words.length), y: 18, 'text-anchor': 'middle', tabindex: 0, role: 'button',
        'aria-pressed': i === chosen, class: i === chosen ? 'word on' : 'word' }, row.word);
      word.onclick = () => { chosen = chosen === i ? -1 : i; draw(); };
      word.onkeydown = event => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); word.onclick(); } };
      svg.append(word);
    });
    keys.forEach((key, j) => svg.append(
      make('text', { x: x(j, keys.length), y: height - 26, 'text-anchor': 'middle' }, key),
      make('text', { x: x(j, keys.length), y: height - 6, 'text-anchor': 'middle' }, `→ ${data.entries[j][1]}`)));
    picture.replaceChildren(svg);
    const best = rows.map(row => row.weights.indexOf(Math.max(...row.weights)));
    numbers.replaceChildren(
      heatTable('weights over the keys', words, keys, rows.map(row => row.weights), { winners: best }),
      heatTable('answers', words, meanings, rows.map(row => row.mixed),
        { winners: rows.map(row => row.best), notes: said.map(word => `→ ${word}`) }));
  };
  place.append(text.label, text.input, temperature.label, temperature.input, scale.label, scale.input,
    buttons, answer, hint, picture, numbers);
  for (const { input } of [text, temperature, scale]) input.addEventListener('input', draw);
  addEventListener('resize', draw);
  draw();
};

// ---- the grid of edits

// Letters that there is room for.
const LONGEST = 24;

const levenshtein = (place, data) => {
  const word = labelled('Word', make('input', { type: 'text', value: data.word, spellcheck: 'false' }));
  const key = labelled('Key', make('select', {}, ...data.keys.map(k => make('option', {}, k))));
  key.input.value = data.keys[nearest(data.word, data.keys).index];
  const figure = make('div');
  const said = make('output', { 'aria-live': 'polite' });
  const draw = () => {
    const [typed] = wordsOf(word.input.value);
    if (!typed) {
      said.textContent = 'Write a word.';
      figure.replaceChildren();
      return;
    }
    const a = letters(typed).slice(0, LONGEST), b = letters(key.input.value);
    const d = grid(a, b);
    // Back from the corner along one cheapest way.
    const path = new Set(['0,0']);
    let [i, j] = [a.length, b.length];
    while (i > 0 || j > 0) {
      path.add(`${i},${j}`);
      const same = i > 0 && j > 0 && d[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1) === d[i][j];
      if (same) { i--; j--; } else if (i > 0 && d[i - 1][j] + 1 === d[i][j]) i--; else j--;
    }
    const table = heatTable('edits between the beginnings of both words',
      ['', ...a], ['', ...b], d, { digits: 0 });
    table.querySelectorAll('tbody tr').forEach((row, i) => row.querySelectorAll('td').forEach((cell, j) => {
      if (path.has(`${i},${j}`)) cell.classList.add('path');
    }));
    const near = nearest(typed, data.keys);
    const edits = distance(typed, key.input.value);
    said.textContent = `${edits} ${edits === 1 ? 'edit' : 'edits'} to ${key.input.value}; the nearest key is ` +
      `${data.keys[near.index]}, ${near.distance} away` +
      (letters(typed).length > LONGEST ? `; the table has the first ${LONGEST} letters` : '');
    figure.replaceChildren(table);
  };
  place.append(word.label, word.input, key.label, key.input, said, figure);
  word.input.addEventListener('input', () => {
    key.input.value = data.keys[nearest(wordsOf(word.input.value)[0] ?? '', data.keys).index];
    draw();
  });
  key.input.addEventListener('change', draw);
  draw();
};

// ---- merges, one at a time

const merges = (place, data) => {
  const bytes = new Map(Array.from({ length: 256 }, (_, i) => [i, [i]]));
  for (const [a, b, id] of data.merges) bytes.set(id, [...bytes.get(a), ...bytes.get(b)]);
  const decoder = new TextDecoder();
  const read = id => decoder.decode(new Uint8Array(bytes.get(id))).replaceAll(' ', '␣');
  const step = slider('Merges made', 0, data.merges.length, 1, 0);
  const said = make('output', { 'aria-live': 'polite' });
  const shown = make('p', { class: 'tokens' });
  const buttons = make('p', {}, ...[['one back', -1], ['one more', 1]].map(([name, by]) => {
    const button = make('button', { type: 'button' }, name);
    button.onclick = () => { step.input.value = Number(step.input.value) + by; draw(); };
    return button;
  }));
  const pieces = (data.text.match(new RegExp(data.pattern || '[^]+', 'gu')) ?? [])
    .map(piece => Array.from(new TextEncoder().encode(piece)));
  const draw = () => {
    const made = Number(step.input.value);
    step.value.textContent = `${made} of ${data.merges.length}`;
    const tokens = pieces.flatMap(piece => {
      let ids = piece;
      for (const [a, b, id] of data.merges.slice(0, made)) {
        const next = [];
        for (let i = 0; i < ids.length; i++) {
          if (ids[i] === a && ids[i + 1] === b) { next.push(id); i++; } else next.push(ids[i]);
        }
        ids = next;
      }
      return ids;
    });
    const last = data.merges[made - 1];
    said.textContent = (last ? `${read(last[0])} + ${read(last[1])} → ${read(last[2])}: ` : '') +
      `${tokens.length} tokens`;
    shown.replaceChildren(...tokens.map(id => make('span', { class: 'token' }, read(id))));
  };
  place.append(step.label, step.input, buttons, said, shown);
  step.input.addEventListener('input', draw);
  draw();
};

// ---- a training, step by step

const steps = (place, data) => {
  const at = slider('Training step', 0, data.steps.length - 1, 1, data.steps.length - 1);
  const shown = make('div');
  const draw = () => {
    const now = data.steps[Number(at.input.value)];
    at.value.textContent = `${now.step}, loss ${now.loss.toPrecision(3)}`;
    shown.replaceChildren(heatTable('answers', now.rows, now.columns, now.values,
      { winners: now.winners, notes: now.notes }));
  };
  place.append(at.label, at.input, shown);
  at.input.addEventListener('input', draw);
  draw();
};

const kinds = { attention, levenshtein, merges, steps };
for (const place of document.querySelectorAll('.widget')) {
  kinds[place.dataset.kind](place, JSON.parse(place.firstElementChild.textContent));
}
// On a phone the contents are closed once read.
const contents = document.querySelector('nav details');
if (contents && matchMedia('(max-width: 70rem)').matches) contents.open = false;
