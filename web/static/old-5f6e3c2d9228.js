(function(){document.documentElement.className+=" plain";var e=document.getElementById("old");e&&(e.hidden=!1);})();
