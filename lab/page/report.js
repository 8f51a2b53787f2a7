/* Draws the RSS curves. Everything else on the page is there without a script. */
(function () {
	"use strict";
	var curves = JSON.parse(document.getElementById("curves").textContent);
	var style = getComputedStyle(document.documentElement);
	function colour(name) { return style.getPropertyValue("--" + name).trim(); }
	var most = 0, last = 0;
	curves.forEach(function (curve) {
		curve.mb.forEach(function (mb) { most = Math.max(most, mb); });
		last = Math.max(last, curve.ms[curve.ms.length - 1] || 0);
	});

	/* The steps of the experiment: a dashed line each, its name at the top, lower when the one before is near. */
	function marks(curve) {
		return function (u) {
			var ctx = u.ctx, right = -1e9, level = 0, ratio = devicePixelRatio;
			ctx.save();
			ctx.font = 12 * ratio + "px system-ui, sans-serif";
			ctx.fillStyle = colour("soft");
			ctx.strokeStyle = colour("soft");
			ctx.textAlign = "left";
			ctx.textBaseline = "alphabetic";
			ctx.setLineDash([4, 4]);
			curve.marks.forEach(function (mark) {
				var x = u.valToPos(mark.ms, "x", true), top = u.bbox.top;
				var width = ctx.measureText(mark.label).width;
				level = x < right ? level + 1 : 0;
				ctx.beginPath();
				ctx.moveTo(x, top);
				ctx.lineTo(x, top + u.bbox.height);
				ctx.stroke();
				var left = x + 4 + width > u.bbox.left + u.bbox.width ? x - 4 - width : x + 4;
				ctx.fillText(mark.label, left, top + (13 + 15 * level) * ratio);
				right = Math.max(right, left + width + 6);
			});
			ctx.restore();
		};
	}

	function draw(curve, place) {
		var axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
		var options = {
			width: place.clientWidth, height: 220,
			scales: { x: { time: false, range: [0, last] }, y: { range: [0, most * 1.3] } },
			axes: [
				Object.assign({}, axis, { values: function (u, ticks) { return ticks.map(function (t) { return t + " ms"; }); } }),
				Object.assign({}, axis, { size: 70, values: function (u, ticks) { return ticks.map(function (t) { return t + " MB"; }); } })
			],
			series: [
				{ label: "time (ms)", value: function (u, v) { return v === null ? "--" : v.toFixed(1); } },
				{ label: "RSS (MB)", stroke: colour("free-held"), fill: colour("free-held") + "33", width: 1.5,
					value: function (u, v) { return v === null ? "--" : v.toFixed(2); } }
			],
			hooks: { draw: [marks(curve)] }
		};
		return new uPlot(options, [curve.ms, curve.mb], place);
	}

	curves.forEach(function (curve, i) {
		var place = document.getElementById("chart-" + i);
		var plot = draw(curve, place);
		addEventListener("resize", function () { plot.setSize({ width: place.clientWidth, height: 220 }); });
	});
	document.documentElement.dataset.charts = String(curves.length);
})();
