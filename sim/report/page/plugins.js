// What Chart.js does not draw itself: intervals, reference lines, and zoom by dragging.
'use strict';

/** Draws xLow..xHigh and yLow..yHigh of each point. */
const errorBars = {
  id: 'errorBars',
  afterDatasetsDraw(chart) {
    const {ctx, chartArea} = chart;
    ctx.save();
    ctx.beginPath();
    ctx.rect(chartArea.left, chartArea.top, chartArea.width, chartArea.height);
    ctx.clip();
    ctx.lineWidth = 1.5;
    chart.data.datasets.forEach((dataset, i) => {
      const meta = chart.getDatasetMeta(i);
      if (!chart.isDatasetVisible(i)) return;
      ctx.strokeStyle = meta.type === 'bar' ? inkOf('ink') : dataset.borderColor;
      meta.data.forEach((point, j) => {
        const {xLow, xHigh, yLow, yHigh} = dataset.data[j] ?? {};
        const half = 4;
        ctx.beginPath();
        if (isNumber(xLow) && isNumber(xHigh)) {
          const [a, b] = [xLow, xHigh].map((x) => meta.xScale.getPixelForValue(x));
          ctx.moveTo(a, point.y);
          ctx.lineTo(b, point.y);
          for (const x of [a, b]) {
            ctx.moveTo(x, point.y - half);
            ctx.lineTo(x, point.y + half);
          }
        }
        if (isNumber(yLow) && isNumber(yHigh)) {
          const [a, b] = [yLow, yHigh].map((y) => meta.yScale.getPixelForValue(y));
          ctx.moveTo(point.x, a);
          ctx.lineTo(point.x, b);
          for (const y of [a, b]) {
            ctx.moveTo(point.x - half, y);
            ctx.lineTo(point.x + half, y);
          }
        }
        ctx.stroke();
      });
    });
    ctx.restore();
  },
};

/** options.plugins.reference = {axis: 'x', value: 1}: a line across the chart. */
const reference = {
  id: 'reference',
  beforeDatasetsDraw(chart, _, {axis, value}) {
    if (!axis) return;
    const {ctx, chartArea: area} = chart, at = chart.scales[axis].getPixelForValue(value);
    if (axis === 'x' ? at < area.left || at > area.right : at < area.top || at > area.bottom) return;
    ctx.save();
    ctx.strokeStyle = inkOf('ink');
    ctx.lineWidth = 1;
    ctx.setLineDash([4, 3]);
    ctx.beginPath();
    if (axis === 'x') {
      ctx.moveTo(at, area.top);
      ctx.lineTo(at, area.bottom);
    } else {
      ctx.moveTo(area.left, at);
      ctx.lineTo(area.right, at);
    }
    ctx.stroke();
    ctx.restore();
  },
};

const numericScales = (chart) => Object.values(chart.scales).filter((scale) => scale.type !== 'category');

function setRange(chart, scale, min, max) {
  const options = chart.options.scales[scale.id];
  options.min = min;
  options.max = max;
}

function showZoom(chart, zoomed) {
  chart.canvas.closest('figure').classList.toggle('zoomed', zoomed);
  chart.update('none');
}

/** Whole range again. */
function resetZoom(chart) {
  for (const scale of numericScales(chart))
    setRange(chart, scale, chart.$whole?.[scale.id]?.min, chart.$whole?.[scale.id]?.max);
  showZoom(chart, false);
}

/** Narrows each numeric axis round a point of the canvas, to `share` of what it shows. */
function zoomAt(chart, x, y, share) {
  for (const scale of numericScales(chart)) {
    const at = scale.isHorizontal() ? x : y;
    const [start, end] = scale.isHorizontal() ? [scale.left, scale.right] : [scale.bottom, scale.top];
    setRange(
        chart, scale, scale.getValueForPixel(at + (start - at) * share),
        scale.getValueForPixel(at + (end - at) * share));
  }
  showZoom(chart, true);
}

/** Drag: zoom into the rectangle; double click: back. Axes of categories keep their whole range. */
const dragZoom = {
  id: 'dragZoom',
  afterInit(chart) {
    const canvas = chart.canvas, drag = chart.$drag = {on: false};
    const position = (event) => {
      const box = canvas.getBoundingClientRect(), area = chart.chartArea;
      return {
        x: Math.min(area.right, Math.max(area.left, event.clientX - box.left)),
        y: Math.min(area.bottom, Math.max(area.top, event.clientY - box.top)),
      };
    };
    const listen = (name, handler) => canvas.addEventListener(name, handler, {signal: drag.stop.signal});
    drag.stop = new AbortController();
    listen('pointerdown', (event) => {
      if (event.button !== 0) return;
      drag.on = true;
      drag.from = drag.to = position(event);
      canvas.setPointerCapture(event.pointerId);
    });
    listen('pointermove', (event) => {
      if (!drag.on) return;
      drag.to = position(event);
      chart.draw();
    });
    listen('pointercancel', () => {
      drag.on = false;
      chart.draw();
    });
    listen('pointerup', () => {
      if (!drag.on) return;
      drag.on = false;
      const {from, to} = drag;
      let zoomed = false;
      for (const scale of numericScales(chart)) {
        const [a, b] = scale.isHorizontal() ? [from.x, to.x] : [from.y, to.y];
        if (Math.abs(a - b) < 8) continue;
        const values = [a, b].map((at) => scale.getValueForPixel(at)).sort((p, q) => p - q);
        setRange(chart, scale, ...values);
        zoomed = true;
      }
      if (zoomed)
        showZoom(chart, true);
      else
        chart.draw();
    });
    listen('dblclick', () => resetZoom(chart));
  },
  afterDraw(chart) {
    const {on, from, to} = chart.$drag;
    if (!on) return;
    const {ctx, chartArea: area} = chart;
    const scales = numericScales(chart);
    const wide = scales.some((s) => s.isHorizontal()) && Math.abs(from.x - to.x) >= 8;
    const high = scales.some((s) => !s.isHorizontal()) && Math.abs(from.y - to.y) >= 8;
    if (!wide && !high) return;
    ctx.save();
    ctx.fillStyle = faint(hue(1), 0.2);
    const [x0, x1] = wide ? [from.x, to.x] : [area.left, area.right];
    const [y0, y1] = high ? [from.y, to.y] : [area.top, area.bottom];
    ctx.fillRect(x0, y0, x1 - x0, y1 - y0);
    ctx.restore();
  },
  destroy(chart) { chart.$drag.stop.abort(); },
};

Chart.register(errorBars, reference, dragZoom);
