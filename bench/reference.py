"""The reference mail: 15 KB of HTML with 12 tracked links and a pixel, a text part, 5 personal fields, a loop over
appliances; and the people it goes to."""

from __future__ import annotations

from datetime import date
from typing import Any

from campaigns.content import CompiledContent, compile_content

SUBJECT = "{{ customer.name }}，{{ customer.city }}家电换新周开始了"

_STYLE = """
  body { margin: 0; background: #f4f5f7; font-family: Arial, "Microsoft YaHei", sans-serif; color: #1f2d3d; }
  .frame { width: 600px; margin: 0 auto; background: #ffffff; }
  h1 { font-size: 22px; margin: 0; padding: 24px; color: #0b5ed7; }
  p { font-size: 14px; line-height: 1.6; margin: 0; padding: 0 24px 12px 24px; }
  .card { border: 1px solid #e3e8ee; border-radius: 6px; margin: 0 24px 12px 24px; border-collapse: separate; }
  .name { padding: 12px 16px 4px 16px; font-size: 16px; font-weight: bold; line-height: 1.4; color: #1f2d3d;
          text-align: left; font-family: Arial, sans-serif; }
  .words { padding: 0 16px 8px 16px; font-size: 14px; line-height: 1.6; color: #52606d;
          font-family: Arial, sans-serif; }
  .more { padding: 0 16px 16px 16px; font-size: 14px; line-height: 1.4; font-family: Arial, sans-serif;
          text-align: left; color: #52606d; }
  .button { display: inline-block; padding: 8px 20px; border-radius: 4px; background-color: #0b5ed7;
            color: #ffffff; font-size: 14px; font-weight: bold; text-decoration: none; }
  .own td { border-bottom: 1px solid #e3e8ee; padding: 6px 12px; font-size: 13px; }
"""

_OFFERS = (
    ("air-conditioner", "变频空调 1.5 匹", "新一级能效，夜间低至 18 分贝；旧机上门拆走，当天装好，首年免费清洗一次。"),
    ("refrigerator", "十字对开门冰箱", "风冷无霜，母婴专区独立控温；按旧冰箱的年份折价，最高可抵八百元。"),
    ("washer", "洗烘一体机", "热泵烘干不伤衣物，羊毛羽绒都能洗；安装师傅自带减震脚垫，试机后再走。"),
    ("water-heater", "零冷水燃气热水器", "打开龙头就是热水；含烟道检测与旧管路更换，一次报价，不再加收。"),
    ("range-hood", "侧吸式抽油烟机", "二十六立方大吸力，油杯免拆洗；橱柜开孔尺寸不合，我们负责改。"),
    ("purifier", "反渗透净水器", "滤芯寿命在手机上看得见，到期前两周由您的服务顾问提醒。"),
    ("dishwasher", "嵌入式洗碗机", "十三套容量，热风烘干七十二小时储存；送一年洗碗块。"),
    ("television", "75 英寸电视", "高刷新率，壁挂免费；旧电视不论品牌，一律上门回收。"),
    ("vacuum", "扫拖机器人", "自动集尘与洗拖布，边角也不放过；三十天内不满意可以退。"),
    ("kitchen", "厨房三件套", "烟机、灶具、洗碗机同时购买，减两千元，并延保到五年。"),
    ("maintenance", "整屋家电保养", "一位师傅半天时间，空调、油烟机、洗衣机一次清洗完毕。"),
)

_CARD = """
<table class="card" role="presentation" width="552" cellpadding="0" cellspacing="0" border="0">
<tr><td class="name">{name}</td></tr><tr><td class="words">{words}</td></tr>
<tr><td class="more"><a class="button" href="https://shop.example/offers/{code}?customer={{{{ customer.external_id }}}}"
>看看详情</a></td></tr></table>"""

_TERMS = """<p>以旧换新的折价以上门检测为准：能正常开机的按年份计价，不能开机的按材料计价，当场写明，不满意可以不换。
送货、拆旧、装新同一天完成；高层无电梯、需要吊装或更换墙体开孔的，先报价，得到您的同意再施工。</p>
<p>所有新机自安装之日起享受厂家保修，整机一年、主要部件三年；在服务顾问处登记序列号的，延长到五年。发票随货送达，
需要单位抬头请提前告知。补贴由政府平台发放的，请准备好身份证和旧机照片，我们协助您填报，到账时间以平台为准。</p>"""

HTML = (
    f'<!DOCTYPE html>\n<html lang="zh"><head><meta charset="utf-8"><title>换新周</title><style>{_STYLE}</style></head>'
    """<body><div class="frame"><h1>{{ customer.name }}，您好！</h1>
<p>{{ household.community }}的服务顾问{{ salesperson.name }}（{{ salesperson.phone }}）为您整理了家里的电器：</p>
<table class="own">{% for item in appliances %}
<tr><td>{{ item.category }}</td><td>{{ item.brand }} {{ item.model }}</td><td>{{ item.installed_on|date }}</td></tr>
{% endfor %}</table>
<p><a class="button" href="https://shop.example/visit?customer={{ customer.external_id }}">预约免费检测</a></p>"""
    + "".join(_CARD.format(code=code, name=name, words=words) for code, name, words in _OFFERS)
    + _TERMS
    + '<p>活动到本月底为止。<a href="{{ links.unsubscribe }}">不想再收到这样的邮件</a></p></div></body></html>'
)

CONTENT = {"subject": SUBJECT, "html": HTML}

_OWN = (("空调", "格力", "KFR-35GW"), ("冰箱", "海尔", "BCD-520"), ("洗衣机", "小天鹅", "TG100"))


def compiled() -> CompiledContent:
    """As a campaign would keep it."""
    return compile_content(**CONTENT, language="zh")


def person(number: int) -> dict[str, Any]:
    """What the template sees of somebody."""
    return {
        "customer": {"name": f"王小{number}", "external_id": f"c{number}", "city": "西安"},
        "household": {"community": f"曲江花园 {number % 8} 期"},
        "salesperson": {"name": f"李{number % 10}", "phone": f"+8613800{number % 10:06d}"},
        "appliances": [
            {"category": category, "brand": brand, "model": model, "installed_on": date(2012 + number % 10, 5, 1)}
            for category, brand, model in _OWN
        ],
        "campaign": {"name": "换新周"},
        "today": date(2026, 11, 22),
    }
