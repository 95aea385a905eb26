// Package chart draws the forecast of a warm-up as SVG: curves over days, such as messages by provider against the caps of their stages, the share of a
// migration, or what waits.
//
// It knows nothing of package warmup. A Chart is plain data, which whoever has a forecast makes out of it; WriteSVG checks and draws it.
//
//  1. X names the points, from left to right. Each curve has one value for each of them.
//  2. Stack is drawn at the back: layers on top of one another, the first at the bottom.
//  3. Marks are upright lines with a text above: what happens on a day.
//  4. Lines are drawn in front of all that, first the dashed ones, the last of each kind foremost.
//
// The drawing stands for itself: it has its own light background, takes no font, script or style from elsewhere, and has no identifiers, so that it can be a
// file, an image or part of a page, also next to others. The same Chart gives the same bytes. Its title and description say in words what is drawn, and
// its colours keep apart for those who see two of three. Texts may come from anywhere: they are escaped, and what is not visible is replaced.
//
// Axes, scales and the sizes of texts are those of gonum.org/v1/plot; no type of it is exported. It links ways to write other formats too: a program to
// which their few megabytes matter is built with "-tags minimal", which leaves them out.
package chart
