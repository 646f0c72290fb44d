// For browsers that do not know modules: say so, and show the plain form, which works everywhere.
document.documentElement.className += " plain";
var old = document.getElementById("old");
if (old) old.hidden = false;
