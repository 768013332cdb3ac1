// Draws every <div data-chart='{"kind", "categories", "series", …}'> with ECharts, in the colours of the theme.
(() => {
  const charts = new Map();
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function palette() {
    return ["--chart-1", "--chart-2", "--chart-3", "--chart-4", "--chart-5", "--chart-6"].map(css);
  }

  function axis(kind, extra) {
    return {
      type: kind,
      axisLine: { show: false },
      axisTick: { show: false },
      splitLine: { show: kind === "value", lineStyle: { color: css("--chart-grid") } },
      axisLabel: { color: css("--chart-text"), hideOverlap: true },
      ...extra,
    };
  }

  function base(chart) {
    const many = chart.series.length > 1 || chart.kind === "pie";
    return {
      color: palette(),
      animationDuration: 300,
      textStyle: { fontFamily: css("--tblr-font-sans-serif") },
      legend: many ? { type: "scroll", bottom: 0, pageIconColor: css("--chart-text"), pageIconInactiveColor: css("--chart-grid"), pageTextStyle: { color: css("--chart-text") }, icon: "roundRect", itemWidth: 10, itemHeight: 10, textStyle: { color: css("--chart-text") } } : undefined,
      tooltip: {
        renderMode: "richText",
        trigger: chart.kind === "pie" ? "item" : "axis",
        confine: true,
        backgroundColor: css("--chart-tip"),
        borderColor: css("--chart-grid"),
        textStyle: { color: css("--chart-strong"), fontSize: 12 },
      },
    };
  }

  function cartesian(chart) {
    const lying = chart.kind === "hbar";
    const category = axis("category", { data: chart.categories, inverse: lying, boundaryGap: chart.kind !== "line" });
    const whole = chart.series.every((one) => one.data.every(Number.isInteger));
    const value = axis("value", chart.percent ? percents() : whole ? { minInterval: 1 } : {});
    return {
      ...base(chart),
      grid: { left: 4, right: 12, top: 12, bottom: chart.series.length > 1 ? 32 : 4, containLabel: true },
      xAxis: lying ? value : category,
      yAxis: lying ? category : value,
      series: chart.series.map((one) => series(chart, one)),
    };
  }

  // Where all are 0 the axis has nothing to go by.
  const percents = () => ({ min: 0, max: (seen) => (seen.max > 0 ? null : 100), axisLabel: { color: css("--chart-text"), formatter: "{value}%" } });

  // A value between two gaps draws no line: it needs a point.
  const lonely = (data) => data.some((value, index) => value !== null && (data[index - 1] ?? null) === null && (data[index + 1] ?? null) === null);

  function series(chart, one) {
    const stack = chart.stacked ? "all" : undefined;
    if (chart.kind === "line") {
      return { type: "line", name: one.name, data: one.data, stack, smooth: false, showSymbol: one.data.length < 3 || lonely(one.data), symbolSize: 6, lineStyle: { width: 2.5 }, areaStyle: { opacity: chart.stacked ? 0.35 : 0.08 } };
    }
    const radius = chart.kind === "hbar" ? [0, 5, 5, 0] : [5, 5, 0, 0];
    return { type: "bar", name: one.name, data: one.data, stack, barMaxWidth: 28, itemStyle: { borderRadius: chart.stacked ? 0 : radius } };
  }

  function pie(chart) {
    const data = chart.categories.map((name, index) => ({ name, value: chart.series[0].data[index] }));
    return {
      ...base(chart),
      series: [{ type: "pie", radius: ["52%", "78%"], center: ["50%", "44%"], data, label: { show: false }, itemStyle: { borderColor: css("--tblr-bg-surface"), borderWidth: 2, borderRadius: 4 } }],
    };
  }

  function draw(box) {
    const chart = JSON.parse(box.dataset.chart);
    const drawn = charts.get(box) || echarts.init(box, null, { renderer: "svg" });
    charts.set(box, drawn);
    drawn.setOption(chart.kind === "pie" ? pie(chart) : cartesian(chart), true);
    watcher.observe(box);
  }

  // The chart as a picture, twice as fine as on the screen: drawn once more, on a canvas beside the page.
  function picture(box, name) {
    const chart = JSON.parse(box.dataset.chart);
    const place = document.createElement("div");
    place.style.cssText = `position:absolute;left:-9999px;width:${Math.max(box.clientWidth, 640)}px;height:${box.clientHeight}px`;
    document.body.append(place);
    const drawn = echarts.init(place, null, { renderer: "canvas" });
    drawn.setOption({ ...(chart.kind === "pie" ? pie(chart) : cartesian(chart)), animation: false });
    const link = document.createElement("a");
    link.href = drawn.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: css("--tblr-bg-surface") });
    link.download = `${name}.png`;
    link.click();
    drawn.dispose();
    place.remove();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-png]");
    if (button) picture(button.closest(".chart-figure").querySelector("[data-chart]"), button.dataset.png);
  });

  const watcher = new ResizeObserver((entries) => entries.forEach((entry) => charts.get(entry.target)?.resize()));

  function drawAll(root) {
    for (const [box, drawn] of charts) {
      if (!box.isConnected) {
        drawn.dispose();
        charts.delete(box);
        watcher.unobserve(box);
      }
    }
    root.querySelectorAll("[data-chart]").forEach(draw);
    if (root instanceof Element && root.matches("[data-chart]")) draw(root);
  }

  document.addEventListener("DOMContentLoaded", () => drawAll(document));
  document.addEventListener("htmx:afterSwap", (event) => drawAll(event.target.parentElement || document));
  document.addEventListener("hearth:fresh", (event) => drawAll(event.target));
  document.addEventListener("hearth:theme", () => [...charts.keys()].forEach(draw));
})();
